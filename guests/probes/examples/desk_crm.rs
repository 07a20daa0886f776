//! A CRM of another make: takes a `lead@1`, and keeps a contact with words of its own.

use probes::{at, json};

probes::connector! {
    name: "desk-crm",
    manifest: "[endpoints.create-lead]\ndirection = \"outbound\"\ntakes = \"lead@1\"\n",
    go: |request| {
        let lead = probes::parse(&request.input);
        Ok(json!({ "contact": at(&lead, "name"), "reach": at(&lead, "email") }).to_string())
    },
    hook: |_| Ok(probes::messages(0)),
    describe: || vec![
        probes::endpoint("create-lead", false),
        probes::endpoint("go", false),
        probes::endpoint("hook", true),
    ],
}
