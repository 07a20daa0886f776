//! Emits as many messages as the body says, `{"n": 0}` onwards.

probes::connector! {
    name: "emit-n",
    manifest: "",
    go: |request| Ok(request.input),
    hook: |request| match String::from_utf8_lossy(&request.body).trim().parse() {
        Ok(count) => Ok(probes::messages(count)),
        Err(_) => Err(probes::CallError::InvalidInput("the body is not a number".to_owned())),
    },
}
