//! The compiler is a child: what it may see, what it may cost, and what is
//! made of its end. That its own limits hold, `tests/hostile` shows with bombs.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use host_model::bounds::Bounds;
use host_sandbox::compile::CompileError;
use host_sandbox::{CallFailed, EngineSettings, PrepareError};

use crate::lab::{Lab, compiler};

/// A compiler that is a shell script.
fn script(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("compiler");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

async fn compile_with(compiler: impl FnOnce(&Path) -> PathBuf, component: &[u8]) -> CompileError {
    let folder = tempfile::tempdir().unwrap();
    let small = EngineSettings { slots: 2, warm_slots: 2, ..EngineSettings::default() };
    let lab = Lab::with(small, folder.path(), compiler(folder.path()));
    let failed = lab.try_go(Bytes::copy_from_slice(component), Bounds::default(), "1").await;
    match failed {
        Err(CallFailed::Prepare(PrepareError::Compile(error))) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn garbage_is_refused_with_a_reason() {
    for garbage in [&b""[..], b"garbage", b"\0asm\x01\0\0\0", &[0; 100_000]] {
        let error = compile_with(|_| compiler(), garbage).await;
        let CompileError::Refused(why) = error else { panic!("{error:?}") };
        assert!(!why.is_empty() && !why.contains("panicked"), "{why}");
    }
}

#[tokio::test]
async fn the_compiler_has_nothing_of_the_hosts_environment() {
    let error = compile_with(|folder| script(folder, "cat >/dev/null; env >&2; exit 1"), b"any").await;
    let CompileError::Refused(seen) = error else { panic!("{error:?}") };
    assert!(std::env::vars().count() > 5, "there would be something to see");
    for line in seen.lines() {
        let shells_own = ["PWD=", "OLDPWD=", "SHLVL=", "_="].iter().any(|own| line.starts_with(own));
        assert!(shells_own, "{line}");
    }
}

#[tokio::test]
async fn a_compiler_that_was_killed_did_too_much() {
    let error = compile_with(|folder| script(folder, "kill -9 $$"), b"any").await;
    assert!(matches!(error, CompileError::TooMuch), "{error:?}");
}

#[tokio::test]
async fn a_compiler_that_says_too_much_is_not_waited_for() {
    let text = "head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1";
    let error = compile_with(|folder| script(folder, text), b"any").await;
    let CompileError::Refused(why) = error else { panic!("{error:?}") };
    assert_eq!(why.len(), 4_096);
}

#[tokio::test]
async fn a_compiler_that_is_not_there_is_named() {
    let error = compile_with(|_| PathBuf::from("/nowhere/wharf"), b"any").await;
    assert!(matches!(&error, CompileError::Spawn { .. }) && error.to_string().contains("/nowhere/wharf"));
}
