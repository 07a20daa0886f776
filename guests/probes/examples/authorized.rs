//! Says how `GET {base-url}/echo` is answered; somebody must authorize its
//! connection first.
//!
//! - To it: before that its calls are refused; after that they go through.
//! - To nobody else: nothing; the bystander is answered.
//! - Bounds: none is reached.

use wharf_sdk::{Error, connection, http};

fn status() -> Result<String, Error> {
    let base = connection::required("base-url")?;
    Ok(http::Request::get(format!("{base}/echo")).send()?.status.to_string())
}

probes::connector! {
    name: "authorized",
    manifest: "[config]\nbase-url = { kind = \"url\" }\n[grants]\nhttp = [\"{base-url}\"]\n\
        [credentials.login]\nhosts = [\"{base-url}\"]\n\
        place = { oauth2 = { flow = \"authorization-code\", token-url = \"{base-url}/token\", \
        authorize-url = \"{base-url}/authorize\", client-id = \"robot\", scopes = [\"read\"] } }\n",
    go: |_| Ok(status()?),
    hook: |_| Ok(probes::messages(0)),
}
