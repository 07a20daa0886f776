//! What was compiled once is used again, if it is still what was compiled.

use std::path::{Path, PathBuf};

use host_model::bounds::Bounds;
use host_sandbox::compile::CompileError;
use host_sandbox::{CallFailed, EngineSettings, PrepareError};

use crate::lab::{Lab, compiler, probe};

fn lab(folder: &Path, compiler: PathBuf) -> Lab {
    Lab::with(EngineSettings { slots: 2, warm_slots: 2, ..EngineSettings::default() }, folder, compiler)
}

fn no_compiler() -> PathBuf {
    PathBuf::from("/bin/false")
}

fn code(folder: &Path) -> PathBuf {
    let engines = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = engines.filter(|path| path.is_dir()).flat_map(|path| std::fs::read_dir(path).unwrap());
    let mut files = files.map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|extension| extension == "cwasm")).unwrap()
}

#[tokio::test]
async fn a_second_start_does_not_compile_and_a_changed_artefact_does() {
    let folder = tempfile::tempdir().unwrap();
    lab(folder.path(), compiler()).a_neighbour_is_well().await;
    lab(folder.path(), no_compiler()).a_neighbour_is_well().await;

    let code = code(folder.path());
    let whole = std::fs::read(&code).unwrap();
    let mut evil = whole.clone();
    let middle = evil.len() / 2;
    evil[middle] ^= 1;
    std::fs::remove_file(&code).unwrap();
    std::fs::write(&code, evil).unwrap();
    let failed = lab(folder.path(), no_compiler()).try_go(probe("echo"), Bounds::default(), "1").await;
    assert!(
        matches!(failed, Err(CallFailed::Prepare(PrepareError::Compile(CompileError::Refused(_))))),
        "it is not mapped, and there is no compiler: {failed:?}"
    );
    lab(folder.path(), compiler()).a_neighbour_is_well().await;
    assert!(std::fs::read(&code).unwrap() == whole, "compiled anew");
    lab(folder.path(), no_compiler()).a_neighbour_is_well().await;
}
