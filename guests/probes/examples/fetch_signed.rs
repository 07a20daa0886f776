//! Sends the request that it is told to (see `probes::fetch`); the host adds a
//! credential of each kind on the way to the origin of `base-url`.

probes::connector! {
    name: "fetch-signed",
    manifest: "[config]\nbase-url = { kind = \"url\" }\naccount = {}\nother-url = { kind = \"url\", optional = true }\n\
        [grants]\nhttp = [\"{base-url}\", \"{other-url}\"]\n\
        [credentials.api-key]\nplace = { header = \"x-api-key\", prefix = \"Key \" }\nhosts = [\"{base-url}\"]\n\
        [credentials.query-key]\nplace = { query = \"api_key\" }\nhosts = [\"{base-url}\"]\n\
        [credentials.password]\nplace = { basic-user = \"account\" }\nhosts = [\"{base-url}\"]\n",
    go: |request| Ok(probes::fetch::fetch(&probes::parse(&request.input)).to_string()),
    hook: |_| Ok(probes::messages(0)),
}
