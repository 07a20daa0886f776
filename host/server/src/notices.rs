//! Notices, from whoever has one to the tenant's topic and the operator's log.

use std::sync::Arc;

use host_control::ports::Topics;
use host_model::name::{TenantId, TopicName};
use host_model::notice::{NOTICES, Notice, Notices};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The most that wait to be published; one more is in the log only.
const MAX_WAITING: usize = 256;

type Waiting = mpsc::Receiver<(TenantId, Notice)>;

/// Takes notices from calls that have no time for them.
pub(crate) struct Told(mpsc::Sender<(TenantId, Notice)>);

impl Told {
    pub(crate) fn new() -> (Arc<Self>, Waiting) {
        let (told, waiting) = mpsc::channel(MAX_WAITING);
        (Arc::new(Self(told)), waiting)
    }
}

impl Notices for Told {
    fn tell(&self, tenant: &TenantId, notice: Notice) {
        tracing::warn!(tenant.id = %tenant, "tenant `{tenant}`: {notice}");
        if self.0.try_send((tenant.clone(), notice)).is_err() {
            tracing::warn!(tenant.id = %tenant, "the notice was not published: {MAX_WAITING} wait already, or the host stops");
        }
    }
}

/// Publishes each to its tenant's topic, until it is told to stop.
pub(crate) async fn publish(mut waiting: Waiting, topics: Arc<dyn Topics>, stop: CancellationToken) {
    #[expect(clippy::expect_used, reason = "a name that is written here; the story of notices reads it")]
    let topic: TopicName = NOTICES.parse().expect("a topic's name");
    while let Some(Some((tenant, notice))) = stop.run_until_cancelled(waiting.recv()).await {
        let published = match serde_json::to_string(&notice) {
            Ok(data) => topics.publish(&tenant, &topic, data, None).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = published {
            tracing::warn!(tenant.id = %tenant, "a notice of tenant `{tenant}` was not published: {why}");
        }
    }
}
