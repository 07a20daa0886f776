//! `wharf usage`: what a tenant used of its quotas.

use host_model::quota::QuotaUse;

use super::Session;
use crate::error::{CommandError, Exit};

pub(super) async fn run(session: &mut Session<'_>) -> Result<Exit, CommandError> {
    let path = format!("api/v1/tenants/{}/usage", session.tenant().await?);
    let body = session.api.get(&path).value().await?;
    let usage: Vec<QuotaUse> = session.api.read(&body)?;
    session.show(&body, || usage.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn line(usage: &QuotaUse) -> String {
    let QuotaUse { quota, used, limit, near, resets_at } = usage;
    let resets = resets_at.map(|at| format!(", resets at {}", at.format("%Y-%m-%d %H:%M UTC")));
    let warning = if *near { ", nearly used up" } else { "" };
    format!("{quota}: {used} of {limit}{}{warning}", resets.unwrap_or_default())
}

#[test]
fn a_quota_reads_used_limit_reset_and_warning() {
    let usage = QuotaUse {
        quota: host_model::quota::Quota::RunsPerDay,
        used: 9,
        limit: 10,
        near: true,
        resets_at: Some("2026-11-22T00:00:00Z".parse().unwrap()),
    };
    let want = "runs-per-day: 9 of 10, resets at 2026-11-22 00:00 UTC, nearly used up";
    assert_eq!(line(&usage), want);
    let kept =
        QuotaUse { quota: host_model::quota::Quota::StoredBytes, near: false, resets_at: None, ..usage };
    assert_eq!(line(&kept), "stored-bytes: 9 of 10");
}
