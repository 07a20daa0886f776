//! Keeps a few keys, then lists them for ever, with the largest page that a number can say.
//!
//! - To it: it ends at a bound of its call.
//! - To nobody else: nobody else's keys are listed; the bystander is answered, and the
//!   host's memory returns to its base line.
//! - Bounds: 100 keys a page; 64 MiB of host calls, 100 million units of fuel, 30 s.

use wharf_sdk::kv;

fn list() -> String {
    for n in 0..5 {
        if let Err(error) = kv::set(&format!("key-{n}"), b"value") {
            return format!("\"{error:?}\"");
        }
    }
    loop {
        std::hint::black_box(kv::list("", None, u32::MAX).map(|page| page.keys.len()).unwrap_or_default());
    }
}

probes::connector! {
    name: "list-forever",
    manifest: "[grants]\nkv = true\n",
    go: |_| Ok(list()),
    hook: |_| Ok(probes::messages(0)),
}
