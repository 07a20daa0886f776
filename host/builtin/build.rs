//! Builds the guests of `guests/builtin` for wasm, as `make guests` builds the
//! others. The cargo that runs this and the one that it starts never wait for
//! each other: cargo locks a target folder by the profile, and no host is built
//! with the guests'.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

const TARGET: &str = "wasm32-unknown-unknown";

/// What is built.
const GUESTS: [&str; 2] = ["builtin-expression", "builtin-flow"];

/// What a change of which builds them again. Cargo itself sees what really changed.
const SOURCES: [&str; 8] = [
    ".cargo/config.toml",
    "Cargo.lock",
    "Cargo.toml",
    "guests/builtin",
    "host/flow/Cargo.toml",
    "host/flow/src",
    "sdk-guest/rust",
    "wit",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = env::var("RUSTC")?;
    let asked = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output()?;
    if !Path::new(String::from_utf8(asked.stdout)?.trim()).is_dir() {
        return Err(format!(
            "a host brings guests along, which are built for {TARGET}: run `rustup target add {TARGET}`"
        )
        .into());
    }
    let folder = root.join("target");
    let mut build = cargo(&root)?;
    build.args(["build", "--quiet", "--profile", "guest", "--target", TARGET, "--target-dir"]).arg(&folder);
    for guest in GUESTS {
        build.args(["-p", guest]);
    }
    if !build.status()?.success() {
        return Err(format!(
            "the guests of guests/builtin cannot be built for {TARGET}; the compiler's words are above"
        )
        .into());
    }
    let out = env::var("OUT_DIR")?;
    for guest in GUESTS {
        let file = format!("{}.wasm", guest.replace('-', "_"));
        fs::copy(folder.join(TARGET).join("guest").join(&file), Path::new(&out).join(&file))?;
    }
    Ok(())
}

/// A cargo that knows nothing of the build it is started by: neither its flags
/// nor its wrappers, `clippy` among them.
fn cargo(root: &Path) -> Result<Command, env::VarError> {
    const KEPT: [&str; 5] =
        ["CARGO", "CARGO_HOME", "CARGO_MAKEFLAGS", "CARGO_NET_OFFLINE", "CARGO_HTTP_CAINFO"];
    let mut cargo = Command::new(env::var("CARGO")?);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let of_the_build = ["CARGO_", "RUSTC", "RUSTFLAGS", "RUSTDOC", "CLIPPY", "DEP_"];
        if of_the_build.iter().any(|start| text.starts_with(start)) && !KEPT.contains(&&*text) {
            cargo.env_remove(&name);
        }
    }
    cargo.current_dir(root);
    Ok(cargo)
}
