//! The packages that a host has: published once, kept under their version for ever.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use host_model::clock::Clock;
use host_model::digest::Digest;
use host_model::manifest::Manifest;
use host_model::name::{PackageName, PackageRef};
use host_model::resource::Package;
use host_store::{BlobError, Blobs, Commit, Store, StoreError};

use crate::error::PackageError;
use crate::record::{Record, slot, space, versions};
use crate::signature::{SignatureError, TrustedKeys};
use crate::verify::{VerifiedPackage, verify};

/// The namespace of the packages that a host brings along.
const RESERVED: &str = "wharf";

/// A publish that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Name and version, from the manifest.
    pub package: PackageRef,
    /// The content.
    pub digest: Digest,
    /// `false` if the same content was there already.
    pub created: bool,
    /// The public key of who signed it, if the host checks that.
    pub signed_by: Option<String>,
}

/// Why an upload was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Nobody whom the host trusts has signed it.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// It is not a package.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// Its namespace is the host's own.
    #[error(
        "package {0} cannot be published: the namespace `{RESERVED}` is for what a host brings along, choose another"
    )]
    Reserved(PackageRef),
    /// The version has another content.
    #[error(
        "{package} is published with another content ({published}): versions are immutable, publish a new one"
    )]
    Immutable {
        /// Name and version.
        package: PackageRef,
        /// What is there.
        published: Digest,
    },
    /// The host failed.
    #[error("cannot publish the package")]
    Storage(#[from] ReadError),
}

/// Why the registry could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store failed.
    #[error("the registry's store failed")]
    Store(#[from] StoreError),
    /// A blob could not be read or written.
    #[error("the registry's blobs failed")]
    Blob(#[from] BlobError),
    /// A record without its blob, or one that this host did not write.
    #[error("package {0} is damaged: restore the blobs and the store from one backup")]
    Damaged(String),
    /// The task that verified an upload did not end.
    #[error("the verifier of an upload did not end well")]
    Verifier,
}

/// The packages of one host or cluster. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    store: Arc<dyn Store>,
    blobs: Blobs,
    clock: Arc<dyn Clock>,
    trusted: Arc<TrustedKeys>,
    /// Nothing in it is ever wrong: a version never changes. As large as the
    /// manifests of the packages in use.
    known: Arc<Mutex<HashMap<PackageRef, Package>>>,
}

/// An upload that [`verify`] passed, and who signed it. Nothing of it is kept yet.
pub struct Upload {
    bytes: Bytes,
    signed_by: Option<String>,
    verified: VerifiedPackage,
}

impl Upload {
    /// Verifies what a host brings along, which nobody signs. Not for what anybody sent.
    pub async fn builtin(bytes: Bytes) -> Result<Self, PublishError> {
        let upload = bytes.clone();
        let verified = tokio::task::spawn_blocking(move || verify(&upload)).await;
        Ok(Self { bytes, signed_by: None, verified: verified.map_err(|_| ReadError::Verifier)?? })
    }

    /// The package that it would be.
    pub fn package(&self) -> Package {
        let manifest = Arc::new(self.verified.manifest.clone());
        Package { package: manifest.package(), digest: self.verified.digest, manifest }
    }

    /// The component.
    pub fn component(&self) -> Bytes {
        self.bytes.clone()
    }
}

impl Registry {
    /// The packages in this store and these blobs, of whoever may publish.
    pub fn new(store: Arc<dyn Store>, blobs: Blobs, clock: Arc<dyn Clock>) -> Self {
        Self { store, blobs, clock, trusted: Arc::default(), known: Arc::default() }
    }

    /// The same, which takes uploads only if one of these publishers signed them.
    #[must_use]
    pub fn trusting(self, publishers: TrustedKeys) -> Self {
        Self { trusted: Arc::new(publishers), ..self }
    }

    /// Verifies a stranger's upload, off the threads that serve requests: who
    /// signed it, and only then what it is.
    pub async fn examine(&self, bytes: Bytes, signature: Option<Bytes>) -> Result<Upload, PublishError> {
        let (upload, trusted) = (bytes.clone(), Arc::clone(&self.trusted));
        let signed_by = tokio::task::spawn_blocking(move || {
            let signer = trusted.check(&upload, signature.as_deref())?;
            Ok::<_, SignatureError>(signer.map(|key| key.text().to_owned()))
        });
        let signed_by = signed_by.await.map_err(|_| ReadError::Verifier)??;
        let upload = Upload { signed_by, ..Upload::builtin(bytes).await? };
        let package = upload.verified.manifest.package();
        match package.name.as_str().split_once('/') {
            Some((RESERVED, _)) => Err(PublishError::Reserved(package)),
            _ => Ok(upload),
        }
    }

    /// Verifies a stranger's upload that nobody signed and keeps it, durably.
    /// The same content again is fine.
    pub async fn publish(&self, bytes: Bytes, by: &str) -> Result<Published, PublishError> {
        self.keep(self.examine(bytes, None).await?, by).await
    }

    /// Keeps a verified upload, durably. The same content again is fine, and
    /// a signature of it is kept from then on.
    pub async fn keep(&self, upload: Upload, by: &str) -> Result<Published, PublishError> {
        let package = upload.verified.manifest.package();
        let slot = slot(&package);
        // Each time round, somebody else has published the same version in between.
        loop {
            let there = self.store.get(&slot).await.map_err(ReadError::Store)?;
            let (record, commit) = match &there {
                None => (self.store_content(&upload, by).await?, Commit::default().absent(slot.clone())),
                Some(there) => {
                    let record = decode(&there.value)?;
                    if record.digest != upload.verified.digest {
                        return Err(PublishError::Immutable { package, published: record.digest });
                    }
                    if upload.signed_by.is_none() || record.signed_by == upload.signed_by {
                        return Ok(published(record, false));
                    }
                    let record = Record { signed_by: upload.signed_by.clone(), ..record };
                    (record, Commit::default().at(slot.clone(), there.version))
                }
            };
            let value = serde_json::to_vec(&record).map_err(|_| ReadError::Damaged(package.to_string()))?;
            match self.store.commit(commit.put(slot.clone(), value)).await {
                Ok(_) => return Ok(published(record, there.is_none())),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(ReadError::Store(error).into()),
            }
        }
    }

    /// A package as used; `None` if that version was never published.
    pub async fn get(&self, package: &PackageRef) -> Result<Option<Package>, ReadError> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(package) {
            return Ok(Some(found.clone()));
        }
        let Some(record) = self.record(package).await? else { return Ok(None) };
        let damaged = || ReadError::Damaged(package.to_string());
        let text = self.blobs.get(&record.manifest).await?.ok_or_else(damaged)?;
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|_| damaged())?;
        let found = Package { package: record.package, digest: record.digest, manifest: Arc::new(manifest) };
        known().insert(package.clone(), found.clone());
        Ok(Some(found))
    }

    /// What is kept of a package.
    pub async fn record(&self, package: &PackageRef) -> Result<Option<Record>, ReadError> {
        self.store.get(&slot(package)).await?.map(|entry| decode(&entry.value)).transpose()
    }

    /// The component of this digest; `None` if there is none.
    pub async fn content(&self, digest: &Digest) -> Result<Option<Bytes>, ReadError> {
        Ok(self.blobs.get(digest).await?)
    }

    /// A page of packages in order of their names, after `after`.
    pub async fn list(&self, after: Option<&PackageRef>, limit: usize) -> Result<Vec<Record>, ReadError> {
        let after = after.map(slot);
        let page = self.store.scan(&space(), after.as_deref(), limit).await?;
        page.iter().map(|entry| decode(&entry.value)).collect()
    }

    /// The versions of one package, at most a page of them.
    pub async fn versions(&self, name: &PackageName) -> Result<Vec<Record>, ReadError> {
        let page = self.store.scan(&versions(name.as_str()), None, usize::MAX).await?;
        page.iter().map(|entry| decode(&entry.value)).collect()
    }

    /// The newest version of a package; `None` if it was never published.
    pub async fn newest(&self, name: &PackageName) -> Result<Option<Package>, ReadError> {
        let published = self.versions(name).await?.into_iter().map(|record| record.package);
        match published.max_by(|a, b| a.version.cmp(&b.version)) {
            Some(newest) => self.get(&newest).await,
            None => Ok(None),
        }
    }

    /// Writes the blobs; only then may a record name them.
    async fn store_content(&self, upload: &Upload, by: &str) -> Result<Record, ReadError> {
        let Upload { bytes, signed_by, verified } = upload;
        let package = verified.manifest.package();
        let manifest =
            serde_json::to_vec(&verified.manifest).map_err(|_| ReadError::Damaged(package.to_string()))?;
        Ok(Record {
            digest: self.blobs.put(bytes.clone()).await?,
            manifest: self.blobs.put(manifest.into()).await?,
            package,
            size: verified.size,
            published_by: by.to_owned(),
            signed_by: signed_by.clone(),
            published_at: self.clock.now(),
        })
    }
}

fn published(record: Record, created: bool) -> Published {
    let Record { package, digest, signed_by, .. } = record;
    Published { package, digest, created, signed_by }
}

fn decode(value: &[u8]) -> Result<Record, ReadError> {
    serde_json::from_slice(value).map_err(|_| ReadError::Damaged("(unreadable record)".to_owned()))
}
