//! Storage keys: whose it is, what kind of thing, its names, then perhaps raw
//! bytes.
//!
//! ```text
//! acme NUL connection NUL crm NUL          key::tenant(&acme).kind("connection").name("crm")
//! acme NUL step NUL <16 bytes> <4 bytes>   key::tenant(&acme).kind("step").bytes(&run).bytes(&step)
//! ! NUL token NUL <32 bytes>               key::host().kind("token").bytes(&hash)
//! ```
//!
//! Invariants
//! - The owner comes first and ends in NUL, which no name has: whatever follows,
//!   raw bytes of a guest included, a key stays in its owner's space.
//! - One kind has one shape: so many names, then so many raw bytes or none. Of
//!   several raw parts only the last may vary in length. Then no two things
//!   share a key, and raw parts sort as their bytes do.

use std::ops::Deref;

use bytes::Bytes;
use host_model::name::TenantId;

/// The host's own space. No tenant has it: a name starts with a letter or digit.
const HOST: &str = "!";
const END: u8 = 0;
/// Stands before an escaped byte: names never need it, but any text is safe.
const ESCAPE: u8 = 1;

/// Whose key it will be. [`Owner::kind`] goes on.
#[derive(Clone, Debug)]
pub struct Owner(Key);

/// A key, or the prefix of the keys that go on from it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Vec<u8>);

/// A key that ends in raw bytes; nothing but more of them may follow.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RawKey(Vec<u8>);

/// The space of one tenant.
pub fn tenant(tenant: &TenantId) -> Owner {
    Owner(Key(Vec::new()).name(tenant.as_str()))
}

/// The space of the host itself: what belongs to no tenant.
pub fn host() -> Owner {
    Owner(Key(Vec::new()).name(HOST))
}

impl Owner {
    /// What kind of thing it is the key of: a word that the code fixes.
    pub fn kind(self, kind: &'static str) -> Key {
        self.0.name(kind)
    }

    /// The prefix of everything that this owner has.
    pub fn prefix(&self) -> Bytes {
        self.0.prefix()
    }

    /// Sorts after everything that this owner has and before the next owner's:
    /// names hold neither NUL nor the escape as they are.
    pub fn end(&self) -> Bytes {
        let mut end = self.0.0.clone();
        end.pop();
        end.push(ESCAPE);
        end.into()
    }
}

impl Key {
    /// Goes on with a name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        for byte in name.bytes() {
            if byte <= ESCAPE {
                self.0.extend([ESCAPE, byte + 1]);
            } else {
                self.0.push(byte);
            }
        }
        self.0.push(END);
        self
    }

    /// Goes on with raw bytes, which end the names.
    pub fn bytes(self, bytes: &[u8]) -> RawKey {
        RawKey(self.0).bytes(bytes)
    }

    /// These bytes, as the prefix of a scan or a bell: every key that goes on
    /// from here, and this one.
    pub fn prefix(&self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }
}

impl RawKey {
    /// Goes on with more raw bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// These bytes, as the prefix of a scan or a bell.
    pub fn prefix(&self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }
}

/// The name of whose key it is; of the host's own, [`HOST`]'s mark.
pub fn owner(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.split(|byte| *byte == END).next()?).ok()
}

/// What kind of the host's own keys is counted by tenant: runs that have not ended.
pub const RUN_PENDING: &str = "run-pending";

/// The prefix under which a key is counted: its tenant's, or of
/// [`RUN_PENDING`] that of the tenant named in it. `None`: not counted.
pub fn account(key: &[u8]) -> Option<&[u8]> {
    let name = |from: usize| Some(from + key.get(from..)?.iter().position(|byte| *byte == END)? + 1);
    let owner = name(0)?;
    if key.get(..owner)? != [HOST.as_bytes(), &[END]].concat() {
        return key.get(..owner);
    }
    let kind = name(owner)?;
    let is_counted = key.get(owner..kind - 1)? == RUN_PENDING.as_bytes();
    key.get(..name(kind)?).filter(|_| is_counted)
}

/// What kind of a tenant's keys says that a run has a blob: the run's id, the
/// blob's digest and, in eight bytes, its size, which counts as if the blob
/// were in the entry.
pub const RUN_BLOB: &str = "run-blob";
/// Sixteen, thirty-two and eight. Shorter ones were written before sizes were.
const SIZED_BLOB: usize = 56;

/// How many bytes an entry counts under its [`account`]: key and value, and the
/// blob that a key of kind [`RUN_BLOB`] stands for.
pub fn counted_bytes(key: &[u8], value: usize) -> u64 {
    let here = (key.len() + value) as u64;
    let mut parts = key.splitn(3, |byte| *byte == END).skip(1);
    if parts.next() != Some(RUN_BLOB.as_bytes()) {
        return here;
    }
    let blob = parts.next().filter(|blob| blob.len() == SIZED_BLOB).and_then(<[u8]>::last_chunk);
    here.saturating_add(blob.map_or(0, |size| u64::from_be_bytes(*size)))
}

/// What follows `prefix` in `key`: the raw bytes of a scanned entry.
pub fn tail<'a>(prefix: &[u8], key: &'a [u8]) -> Option<&'a [u8]> {
    key.strip_prefix(prefix)
}

macro_rules! as_bytes {
    ($name:ident) => {
        impl Deref for $name {
            type Target = [u8];
            fn deref(&self) -> &[u8] {
                &self.0
            }
        }

        impl From<$name> for Bytes {
            fn from(key: $name) -> Bytes {
                key.0.into()
            }
        }
    };
}
as_bytes!(Key);
as_bytes!(RawKey);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn acme() -> TenantId {
        "acme".parse().unwrap()
    }

    #[test]
    fn a_key_reads_owner_kind_names_and_raw_bytes() {
        let key = tenant(&acme()).kind("step").name("crm").bytes(&[0, 255]).bytes(&[7]);
        assert_eq!(&key[..], b"acme\0step\0crm\0\x00\xff\x07");
        assert_eq!(tail(&tenant(&acme()).kind("step").name("crm"), &key), Some(&[0, 255, 7][..]));
    }

    #[test]
    fn one_owner_or_kind_is_never_the_prefix_of_another() {
        let longer: TenantId = "acme-2".parse().unwrap();
        assert!(!tenant(&longer).kind("run").starts_with(&tenant(&acme()).prefix()));
        assert!(!tenant(&acme()).kind("runs").starts_with(&tenant(&acme()).kind("run")));
    }

    #[test]
    fn an_owner_ends_after_its_keys_and_before_the_next_owners() {
        let next: TenantId = "acme-2".parse().unwrap();
        let last = tenant(&acme()).kind("\u{10ffff}").bytes(&[255]);
        let end = tenant(&acme()).end();
        assert!(*last < *end && *end < *tenant(&next).kind(""));
        assert_eq!((owner(&last), owner(&host().kind("token"))), (Some("acme"), Some(HOST)));
    }

    #[test]
    fn a_blob_of_a_run_counts_as_if_it_were_in_the_entry() {
        let blob = tenant(&acme()).kind(RUN_BLOB).bytes(&[7; 48]).bytes(&70_000_u64.to_be_bytes());
        assert_eq!(counted_bytes(&blob, 0), 70_000 + blob.len() as u64);
        let unsized_before = tenant(&acme()).kind(RUN_BLOB).bytes(&[7; 48]);
        assert_eq!(counted_bytes(&unsized_before, 0), unsized_before.len() as u64);
        let other = tenant(&acme()).kind("run-blobs").bytes(&[7; 48]).bytes(&70_000_u64.to_be_bytes());
        assert_eq!(counted_bytes(&other, 10), 10 + other.len() as u64);
        assert_eq!(counted_bytes(b"", 1), 1);
    }

    #[test]
    fn a_key_counts_for_its_tenant() {
        let step = tenant(&acme()).kind("step").bytes(&[0, 7]);
        assert_eq!(account(&step), Some(&tenant(&acme()).prefix()[..]));
        let pending = host().kind(RUN_PENDING).name("acme").bytes(&[0; 16]);
        assert_eq!(account(&pending), Some(&host().kind(RUN_PENDING).name("acme").prefix()[..]));
        for other in [&host().kind("token").bytes(&[0; 32])[..], &host().kind("lease"), b"", b"acme"] {
            assert_eq!(account(other), None);
        }
    }

    #[test]
    fn no_tenant_reaches_the_hosts_space() {
        for name in ["0", "a", "z", "host"] {
            let tenant_key = tenant(&name.parse().unwrap()).kind("token");
            assert!(!tenant_key.starts_with(&host().prefix()), "{name}");
        }
        assert!("!".parse::<TenantId>().is_err());
    }

    proptest! {
        #[test]
        fn different_names_make_different_keys(
            one in proptest::collection::vec("[\u{0}-\u{2}a]{0,3}", 0..4),
            other in proptest::collection::vec("[\u{0}-\u{2}a]{0,3}", 0..4),
        ) {
            let key = |names: &[String]| names.iter().fold(host().kind("k"), |key, name| key.name(name));
            prop_assert_eq!(one == other, key(&one) == key(&other));
        }
    }
}
