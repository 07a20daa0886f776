//! Which server, with which token, for which tenant: arguments and
//! environment first, then the profile file.

use std::path::{Path, PathBuf};

use host_model::name::TenantId;
use host_model::suggest::explain_unknown;
use serde::Deserialize;
use url::Url;

use crate::args::Globals;

mod keep;

pub(crate) use self::keep::{forget, keep};

/// Where a host listens unless told otherwise.
const DEFAULT_SERVER: &str = "http://127.0.0.1:7070";

/// The profile as people write it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct ProfileFile {
    server: Option<String>,
    token: Option<String>,
    tenant: Option<TenantId>,
}

/// Whom to talk to, and as whom.
pub(crate) struct Target {
    /// Its path ends with a slash, so that paths can be appended.
    pub(crate) server: Url,
    pub(crate) token: Option<String>,
    pub(crate) tenant: Option<TenantId>,
}

/// Why it is not clear whom to talk to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    #[error("cannot read the profile `{}`: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the profile `{}`, line {line}: {message}", path.display())]
    Syntax { path: PathBuf, line: usize, message: String },
    #[error("cannot write the profile `{}`: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("there is no place for a profile: set HOME, or name one with `--profile`")]
    Nowhere,
    #[error("`{0}` is not a server: write `http://host:port` or `https://host`")]
    Server(String),
}

impl Target {
    pub(crate) fn find(globals: &Globals) -> Result<Self, ProfileError> {
        let profile = load(globals)?;
        let home = parse(profile.server.as_deref().unwrap_or(DEFAULT_SERVER))?;
        let server = match &globals.server {
            Some(server) => parse(server)?,
            None => home.clone(),
        };
        // A profile's token is for the profile's server. Sent to another one,
        // named on the command line, it would be given away.
        let same = server == home;
        let token = globals.token.clone().or_else(|| profile.token.filter(|_| same));
        Ok(Self {
            server,
            token: token.filter(|token| !token.is_empty()),
            tenant: globals.tenant.clone().or_else(|| profile.tenant.filter(|_| same)),
        })
    }
}

/// Where the profile is, and whether it must be there.
fn place(globals: &Globals) -> Option<(PathBuf, bool)> {
    match (&globals.profile, &globals.home) {
        (Some(path), _) => Some((path.clone(), true)),
        (None, Some(home)) => Some((home.join(".config/wharf/profile.toml"), false)),
        (None, None) => None,
    }
}

fn load(globals: &Globals) -> Result<ProfileFile, ProfileError> {
    let Some((path, must_exist)) = place(globals) else { return Ok(ProfileFile::default()) };
    match std::fs::read_to_string(&path) {
        Ok(text) => read(&path, &text),
        Err(error) if !must_exist && error.kind() == std::io::ErrorKind::NotFound => {
            Ok(ProfileFile::default())
        }
        Err(source) => Err(ProfileError::Read { path, source }),
    }
}

fn read(path: &Path, text: &str) -> Result<ProfileFile, ProfileError> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        ProfileError::Syntax {
            path: path.to_owned(),
            line: 1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count(),
            message: explain_unknown(error.message()),
        }
    })
}

fn parse(text: &str) -> Result<Url, ProfileError> {
    let bad = || ProfileError::Server(text.chars().take(200).collect());
    let mut url = Url::parse(text).map_err(|_| bad())?;
    let plain = url.query().is_none() && url.fragment().is_none();
    let named = !url.username().is_empty() || url.password().is_some();
    if !matches!(url.scheme(), "http" | "https") || !plain || named {
        return Err(bad());
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(profile: &str, server: Option<&str>, token: Option<&str>) -> Result<Target, ProfileError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.toml");
        std::fs::write(&path, profile).unwrap();
        Target::find(&Globals {
            server: server.map(str::to_owned),
            token: token.map(str::to_owned),
            tenant: None,
            profile: Some(path),
            json: false,
            home: None,
        })
    }

    const PROFILE: &str = "server = 'https://wharf.example.com'\ntoken = 'mine'\ntenant = 'acme'\n";

    #[test]
    fn a_profile_says_it_all_and_arguments_say_it_louder() {
        let target = find(PROFILE, None, None).unwrap();
        assert_eq!(target.server.as_str(), "https://wharf.example.com/");
        assert_eq!(target.token.as_deref(), Some("mine"));
        assert_eq!(target.tenant.unwrap().as_str(), "acme");
        assert_eq!(find(PROFILE, None, Some("other")).unwrap().token.as_deref(), Some("other"));
        assert_eq!(find("", None, None).unwrap().server.as_str(), "http://127.0.0.1:7070/");
    }

    #[test]
    fn a_profiles_token_stays_with_the_profiles_server() {
        let elsewhere = find(PROFILE, Some("http://elsewhere.example"), None).unwrap();
        assert_eq!((elsewhere.token, elsewhere.tenant), (None, None));
        let same = find(PROFILE, Some("https://wharf.example.com/"), None).unwrap();
        assert_eq!(same.token.as_deref(), Some("mine"));
    }

    #[test]
    fn a_typo_in_the_profile_is_named_with_its_line() {
        let error = find("server = 'http://a'\ntokn = 'x'\n", None, None).err().unwrap().to_string();
        assert!(error.contains("line 2") && error.contains("did you mean `token`?"), "{error}");
    }

    #[test]
    fn what_is_no_server_is_refused() {
        for bad in ["127.0.0.1:7070", "ftp://a", "http://user:pw@a", "http://a/?x=1", ""] {
            assert!(matches!(find("", Some(bad), None), Err(ProfileError::Server(_))), "{bad}");
        }
    }
}
