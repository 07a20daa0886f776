//! What a host's machine says of names, for stories in which it changes its
//! mind. The host itself has no switch for that: a library that is loaded into
//! it stands before the C library's resolver.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

/// Names and their addresses, as one host sees them.
pub struct Names {
    folder: tempfile::TempDir,
}

impl Default for Names {
    fn default() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/names.c");
        let library = folder.path().join("names.so");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(library).arg(source).arg("-ldl");
        assert!(compiler.status().unwrap().success(), "`cc` compiles tests/harness/src/names.c");
        Self { folder }
    }
}

impl Names {
    /// From now on this name has these addresses, and no other name has any of its own.
    pub fn say(&self, name: &str, addresses: &[&str]) {
        let mut lines = String::new();
        addresses.iter().for_each(|address| writeln!(lines, "{name} {address}").unwrap());
        // At once: the host may be reading.
        let new = self.folder.path().join("new");
        std::fs::write(&new, lines).unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("names")
    }

    /// What a host is started with to believe this.
    pub(crate) fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [("LD_PRELOAD", self.folder.path().join("names.so")), ("WHARF_TEST_NAMES", self.file())]
    }
}
