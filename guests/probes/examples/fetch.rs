//! Sends the request that it is told to: see `probes::fetch`.

use probes::fetch::fetch;

probes::connector! {
    name: "fetch",
    manifest: "[config.base-url]\nkind = \"url\"\n[grants]\nhttp = [\"{base-url}\"]\n",
    go: |request| Ok(fetch(&probes::parse(&request.input)).to_string()),
    hook: |request| Ok(probes::answer(200, fetch(&probes::parse(&String::from_utf8_lossy(&request.body))).to_string())),
}
