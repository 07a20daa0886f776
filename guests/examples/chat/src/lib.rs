//! An outbound connector: posts to the channels of a chat.
//!
//! The chat wants HTTP basic authentication. The host makes it of the config
//! field `account` and the credential `password`.

use serde::{Deserialize, Serialize};
use wharf_sdk::{Context, Error, connection, connector, http};

/// What `post` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Post {
    channel: String,
    text: String,
}

/// What the chat takes.
#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
}

/// What `post` gives; the chat's answer says more.
#[derive(Deserialize, Serialize)]
struct Posted {
    id: String,
}

/// Where the bot is at home.
#[derive(Deserialize)]
struct Account {
    workspace: String,
}

struct Chat;

#[connector]
impl Chat {
    #[outbound("post")]
    fn post(post: Post, context: &Context) -> Result<Posted, Error> {
        // `join` escapes: a channel named `a/../b` is a channel, not another path.
        let base = connection::required("base-url")?;
        http::Request::post(http::join(&base, &["channels", &post.channel, "messages"])?)
            .header("idempotency-key", context.idempotency_key.as_str())
            .json(&Text { text: &post.text })?
            .send()?
            .error_for_status()?
            .json()
    }

    #[check]
    fn check() -> Result<String, Error> {
        let url = http::join(&connection::required("base-url")?, &["account"])?;
        let account: Account = http::Request::get(url).send()?.error_for_status()?.json()?;
        Ok(format!("connected to the workspace {}", account.workspace))
    }
}
