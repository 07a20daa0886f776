//! The main job, set up: a website, a CRM, a mail API and a chat.

use serde_json::Value;
use tests_upstreams::{Credentials, Upstreams};

use crate::{Answer, Connection, Host, HostBuilder, Tenant, example, root};

/// A host with the lead intake of tenant `acme`, and its outside systems.
pub struct LeadIntake {
    /// The host.
    pub host: Host,
    /// The outside systems.
    pub upstreams: Upstreams,
    token: String,
}

/// A visitor's form.
pub fn form(name: &str) -> Vec<(&'static str, String)> {
    vec![
        ("name", name.to_owned()),
        ("email", format!("{}@visitor.example", name.to_lowercase())),
        ("region", "EMEA".to_owned()),
        ("message", "Do you ship to London?".to_owned()),
    ]
}

impl LeadIntake {
    /// Starts everything and sets the tenant up.
    pub async fn start() -> Self {
        Self::start_with(HostBuilder::default()).await
    }

    /// The same with a host of one's own.
    pub async fn start_with(builder: HostBuilder) -> Self {
        let credentials = Credentials::default();
        let upstreams = Upstreams::start(credentials.clone()).await.unwrap();
        let at = upstreams.addresses();
        let host = builder.open(at.crm).open(at.mail).open(at.chat).open(at.lab).start().await;
        for package in ["web-form", "crm", "mail", "chat", "lead-intake"] {
            host.publish(example(package)).await.expect(201);
        }
        let tenant = host.tenant("acme").await;
        tenant.secret("crm-key", &credentials.crm_token).await;
        tenant.secret("mail-key", &credentials.mail_key).await;
        tenant.secret("chat-password", &credentials.chat_password).await;
        let url = |address| format!("http://{address}");
        let documents = [
            Connection::new("website", "example/web-form@0.1.0").open_hooks().yaml(),
            Connection::new("crm", "example/crm@0.1.0")
                .config("base-url", url(at.crm))
                .credential("api-key", "crm-key")
                .grant_http(url(at.crm))
                .yaml(),
            Connection::new("mail", "example/mail@0.1.0")
                .config("base-url", url(at.mail))
                .config("from-address", "hello@acme.example")
                .credential("api-key", "mail-key")
                .grant_http(url(at.mail))
                .yaml(),
            Connection::new("chat", "example/chat@0.1.0")
                .config("base-url", url(at.chat))
                .config("account", credentials.chat_user)
                .credential("password", "chat-password")
                .grant_http(url(at.chat))
                .yaml(),
            "kind: workflow\nname: lead-intake\npackage: example/lead-intake@0.1.0\n\
             roles: { crm: crm, mail: mail, chat: chat }\n\
             triggers:\n  - webhook: { connection: website, message: lead }\n"
                .to_owned(),
        ];
        tenant.apply(&documents.join("---\n")).await;
        let token = tenant.token.clone();
        Self { host, upstreams, token }
    }

    /// Sets the same up as steps beside it: the workflow `lead-steps`, which only `/run` starts.
    pub async fn apply_steps(&self) {
        let text = std::fs::read_to_string(root().join("guests/examples/lead-intake/lead.yaml")).unwrap();
        self.acme().try_apply_file("lead.yaml", &text).await.expect(200);
    }

    /// Tenant `acme`.
    pub fn acme(&self) -> Tenant<'_> {
        self.host.tenant_with("acme", &self.token)
    }

    /// A visitor sends the form; gives the host's answer.
    pub async fn visitor(&self, name: &str) -> Answer {
        self.host.ask(self.acme().hook("website/inquiry").form(&form(name))).await
    }

    /// The id of the run that an answer names.
    pub fn run_of(answer: &Answer) -> String {
        match &answer.json()["run"] {
            Value::String(run) => run.clone(),
            _ => panic!("no run in {answer:?}"),
        }
    }
}
