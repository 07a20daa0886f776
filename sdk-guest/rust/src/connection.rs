//! The connection that this call runs for, without its secrets: those never
//! enter a guest. The host adds them to requests on the way out.

use serde::de::DeserializeOwned;

use crate::Error;
use crate::bindings::connector::wharf::connection::connection;

/// The connection's name within its tenant.
pub fn name() -> String {
    connection::name()
}

/// One config field; `None` if it is not set and has no default.
pub fn field(name: &str) -> Option<String> {
    connection::field(name)
}

/// One config field that must be there.
pub fn required(name: &str) -> Result<String, Error> {
    connection::field(name).ok_or_else(|| {
        Error::Permanent(format!("the config field `{name}` is not set: set it on the connection"))
    })
}

/// All config fields at once, as a type of yours.
pub fn config<T: DeserializeOwned>() -> Result<T, Error> {
    serde_json::from_str(&connection::all())
        .map_err(|error| Error::Permanent(format!("the connection's config does not fit: {error}")))
}

/// All config fields as one JSON object.
pub fn all() -> String {
    connection::all()
}
