//! Writing a login into the profile, and taking it out again.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use url::Url;

use super::{ProfileError, ProfileFile, load, parse, place, read};
use crate::args::Globals;

/// Keeps a token for this server. A token of one tenant needs no `tenant` beside it.
pub(crate) fn keep(
    globals: &Globals,
    server: &Url,
    token: &str,
    of_tenant: bool,
) -> Result<PathBuf, ProfileError> {
    let mut profile = load(globals)?;
    let same = profile.server.as_deref().and_then(|server| parse(server).ok()).as_ref() == Some(server);
    if of_tenant || !same {
        profile.tenant = None;
    }
    profile.server = Some(server.to_string());
    profile.token = Some(token.to_owned());
    let (path, _) = place(globals).ok_or(ProfileError::Nowhere)?;
    write(&path, &profile)?;
    Ok(path)
}

/// Takes this token out, if it is there. Whether it was.
pub(crate) fn forget(globals: &Globals, token: &str) -> Result<bool, ProfileError> {
    let mut profile = load(globals)?;
    match (profile.token.take_if(|kept| *kept == token), place(globals)) {
        (Some(_), Some((path, _))) => write(&path, &profile).map(|()| true),
        _ => Ok(false),
    }
}

/// Writes it whole and beside the old one first, readable for its owner alone.
/// Comments stay, at the top.
fn write(path: &Path, profile: &ProfileFile) -> Result<(), ProfileError> {
    let failed = |source| ProfileError::Write { path: path.to_owned(), source };
    let old = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        old => old.map_err(failed)?,
    };
    let mut text: String =
        old.lines().filter(|line| line.starts_with('#')).map(|it| format!("{it}\n")).collect();
    let ProfileFile { server, token, tenant } = profile;
    let tenant = tenant.as_ref().map(ToString::to_string);
    for (key, value) in [("server", server), ("token", token), ("tenant", &tenant)] {
        if let Some(value) = value {
            text.push_str(&format!("{key} = {}\n", toml::Value::from(value.as_str())));
        }
    }
    read(path, &text)?;
    let new = path.with_extension("new");
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = || {
        fs::create_dir_all(folder)?;
        let _ = fs::remove_file(&new); // of a `wharf` that was cut off
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    written().map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn globals(path: &Path) -> Globals {
        let (server, token, tenant) = Default::default();
        Globals { server, token, tenant, profile: Some(path.to_owned()), json: false, home: None }
    }

    #[test]
    fn a_login_is_kept_for_its_owner_alone_and_taken_out_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.toml");
        fs::write(&path, "# mine\nserver = 'https://old.example'\ntenant = 'acme'\n").unwrap();
        let (globals, server) = (globals(&path), Url::parse("https://wharf.example/").unwrap());
        keep(&globals, &server, "wharf_1", false).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text, "# mine\nserver = \"https://wharf.example/\"\ntoken = \"wharf_1\"\n",
            "acme was of the old one"
        );
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        assert!(!forget(&globals, "wharf_2").unwrap(), "another one's");
        assert!(forget(&globals, "wharf_1").unwrap());
        assert!(!fs::read_to_string(&path).unwrap().contains("wharf_1"));
    }

    #[test]
    fn a_profile_that_is_not_there_is_made_at_home() {
        let home = tempfile::tempdir().unwrap();
        let globals = Globals { profile: None, home: Some(home.path().to_owned()), ..globals(Path::new("")) };
        let path = keep(&globals, &Url::parse("http://127.0.0.1:1/").unwrap(), "wharf_1", true).unwrap();
        assert_eq!(path, home.path().join(".config/wharf/profile.toml"));
        assert_eq!(load(&globals).unwrap().token.as_deref(), Some("wharf_1"));
    }
}
