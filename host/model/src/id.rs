//! Ids that the host makes. Each carries its kind as a prefix and its time in
//! its order; text becomes an id only by parsing.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// A text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{got}` is not an id that starts with `{want}`")]
pub struct BadId {
    /// The prefix that was wanted.
    pub want: &'static str,
    /// The text, cut to 80 characters.
    pub got: String,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Ulid);

        impl $name {
            /// An id made at `now` from ten random bytes. Later ids sort later,
            /// to the millisecond.
            pub fn new(now: DateTime<Utc>, random: [u8; 10]) -> Self {
                let mut wide = [0; 16];
                wide[6..].copy_from_slice(&random);
                let ms = u64::try_from(now.timestamp_millis()).unwrap_or(0);
                Self(Ulid::from_parts(ms, u128::from_be_bytes(wide)))
            }

            /// Sixteen bytes in order of time.
            pub fn to_bytes(self) -> [u8; 16] {
                self.0.to_bytes()
            }

            /// The id of these bytes.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Ulid::from_bytes(bytes))
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                text.strip_prefix($prefix)
                    .filter(|rest| rest.len() == 26)
                    .and_then(|rest| Ulid::from_string(rest).ok())
                    .map(Self)
                    .filter(|id| id.to_string() == text)
                    .ok_or_else(|| BadId { want: $prefix, got: text.chars().take(80).collect() })
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

id!(
    /// One run of one workflow; the key of its journal.
    RunId, "run_"
);
id!(
    /// One message that a connector emitted.
    MessageId, "msg_"
);
id!(
    /// One API token. Not secret; the token's text is.
    TokenId, "tok_"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_ids_sort_later_and_text_comes_back_the_same() {
        let at = |ms| DateTime::from_timestamp_millis(ms).unwrap();
        let first = RunId::new(at(1_000), [0xff; 10]);
        let second = RunId::new(at(1_001), [0; 10]);
        assert!(first < second && first.to_string() < second.to_string());
        assert_eq!(first.to_string().parse::<RunId>(), Ok(first));
        assert_eq!(RunId::from_bytes(first.to_bytes()), first);
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let id = RunId::new(DateTime::UNIX_EPOCH, [1; 10]).to_string();
        assert!(id.parse::<TokenId>().is_err());
        assert!("run_".parse::<RunId>().is_err());
        assert!(id.to_lowercase().parse::<RunId>().is_err(), "one spelling only");
    }
}
