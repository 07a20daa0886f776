//! A run for people: what started it, what it did step by step, how it ended.

use host_model::clock::Timestamp;
use host_model::outcome::{Level, LogLine, Outcome, Usage};
use host_model::retry::Retry;
use host_model::run::{Effect, Failure, Run, StartedBy, Step, Wait};

use crate::table::{cut, one_line};
use crate::units;

/// How much of an input or an answer is shown; `--json` has all of it.
const EXCERPT: usize = 160;

/// The view.
pub(crate) fn render(run: &Run, steps: &[Step]) -> String {
    let took = match run.finished_at {
        Some(end) => units::micros(between(run.accepted_at, end)),
        None => "not done yet".to_owned(),
    };
    let again = match run.attempts {
        0 | 1 => String::new(),
        attempts => format!(", taken up {attempts} times"),
    };
    let mut lines = vec![
        format!("{} {}: {} ({})", run.id, run.status.as_str(), run.workflow, run.package),
        format!("  accepted {}, started by {}", moment(run.accepted_at), started_by(&run.started_by)),
        format!("  took     {took}{again}"),
        format!("  used     {}", used(&run.usage)),
        format!("  input    {} {}", one_line(&run.input.kind), cut(&run.input.data, EXCERPT)),
    ];
    if let Some(of) = &run.replay_of {
        let kind = if of.dry { "dry run" } else { "replay" };
        lines.push(format!("  {kind:<8} of {}, anew from step {}", of.run, of.from_step));
    }
    if let Some(test) = &run.test {
        let step = test.step.as_ref().map(|step| format!("step {}", one_line(step)));
        let to_end = if test.to_end { " and what follows" } else { "" };
        let how = if test.live { "against the real connections" } else { "nothing went out" };
        lines.push(format!("  test     of {}{to_end}, {how}", step.as_deref().unwrap_or("all of it")));
    }
    lines.extend(run.replayed_by.map(|by| format!("  replayed as {by}")));
    for it in &run.interventions {
        let why = if it.why.is_empty() { String::new() } else { format!(": {}", one_line(&it.why)) };
        lines.push(format!(
            "  by hand  {} {} by {}{why}",
            moment(it.at),
            one_line(&it.what),
            one_line(&it.who)
        ));
    }
    lines.extend(run.waits.iter().map(|wait| format!("  waits    for {}", waits_for(wait))));
    let mut steps: Vec<&Step> = steps.iter().collect();
    steps.sort_by_key(|step| step.number);
    for step in steps {
        lines.extend(step_lines(run.accepted_at, step));
    }
    lines.extend(run.log.iter().map(|line| format!("  log      {}", logged(line))));
    let result = run.outcome.as_ref().map_or_else(|| "none yet".to_owned(), ended);
    lines.push(format!("  result   {result}"));
    lines.extend(run.failure.iter().flat_map(failure_lines));
    lines.join("\n")
}

/// Why it did not succeed: the kind, the step, the limits.
pub(crate) fn failure_lines(failure: &Failure) -> Vec<String> {
    let at = |place: &Option<String>| {
        place.as_deref().map(|place| format!(" at {}", one_line(place))).unwrap_or_default()
    };
    let mut lines = vec![format!("  failure  {}{}", one_line(&failure.kind), at(&failure.place))];
    if let Some(step) = &failure.step {
        let place = at(&step.place);
        lines.push(format!(
            "    step   {}{place}: {} ({}, tried {})",
            step.number,
            cut(&step.asked, EXCERPT),
            one_line(&step.kind),
            times(step.tries),
        ));
    }
    let Retry { tries, first_ms, longest_ms, per_run } = failure.retry;
    lines.push(format!(
        "    retry  {} of {per_run} used; {tries} tries a step, pauses of {first_ms} to {longest_ms} ms",
        failure.retries
    ));
    if let Some(ms) = failure.deadline_ms {
        lines.push(format!("    ended  {ms} ms after its acceptance at the latest"));
    }
    let bounds = serde_json::to_value(&failure.bounds).unwrap_or_default();
    let bounds = bounds.as_object().into_iter().flatten().filter(|(_, limit)| !limit.is_null());
    let bounds: Vec<_> = bounds.map(|(name, limit)| format!("{name} {limit}")).collect();
    lines.push(format!("    bounds {}", bounds.join(", ")));
    lines
}

fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn waits_for(wait: &Wait) -> String {
    match wait {
        Wait::Time { until } => moment(*until),
        Wait::Event { name, until, url } => {
            let until = until.map(|until| format!(", until {}", moment(until))).unwrap_or_default();
            format!("the event {}{until}: {}", one_line(name), one_line(url))
        }
        Wait::Run { run } => format!("{run}"),
        Wait::Retry { step, until, tries, why } => {
            let (tries, why) = (times(*tries), one_line(why));
            format!("the next try of step {step} at {}; it was tried {tries}: {why}", moment(*until))
        }
    }
}

/// One call that belongs to no run.
pub(crate) fn call(outcome: &Outcome<String>, usage: &Usage, log: &[LogLine]) -> String {
    let mut lines = vec![format!("used  {}, {}", units::micros(usage.wall_us), used(usage))];
    lines.extend(log.iter().map(|line| format!("log   {}", logged(line))));
    lines.push(format!("gave  {}", ended(outcome)));
    lines.join("\n")
}

fn step_lines(start: Timestamp, step: &Step) -> Vec<String> {
    let number = step.number;
    let at = units::micros(between(start, step.started_at));
    let mut lines = match &step.effect {
        Effect::Sleep { ms } => vec![format!("  step {number:<3} +{at}  sleep {ms} ms")],
        Effect::SleepUntil { time_ms } => vec![format!("  step {number:<3} +{at}  sleep until {time_ms}")],
        Effect::Event { name, .. } => vec![
            format!("  step {number:<3} +{at}  event {}", one_line(name)),
            format!("    gave   {}", ended(&step.outcome)),
        ],
        Effect::Workflow { workflow, run, input } => {
            let run = run.map_or_else(|| "no run".to_owned(), |run| run.to_string());
            vec![
                format!("  step {number:<3} +{at}  workflow {} → {run}", one_line(workflow)),
                format!("    input  {}", cut(input, EXCERPT)),
                format!("    gave   {}", ended(&step.outcome)),
            ]
        }
        Effect::Publish { topic, data, runs } => vec![
            format!("  step {number:<3} +{at}  publish to {} → {} runs", one_line(topic), runs.len()),
            format!("    data   {}", cut(data, EXCERPT)),
        ],
        Effect::Reply { answer } => {
            vec![format!("  step {number:<3} +{at}  reply {}", cut(answer, EXCERPT))]
        }
        Effect::SetKey { name, value } => {
            vec![format!("  step {number:<3} +{at}  key {} = {}", one_line(name), one_line(value))]
        }
        Effect::OnCancel { role, endpoint, .. } => {
            vec![format!("  step {number:<3} +{at}  on cancel {} {}", one_line(role), one_line(endpoint))]
        }
        Effect::Call { role, connection, endpoint, input } => {
            let connection = connection.as_ref().map_or("no connection", |name| name.as_str());
            let took = units::micros(between(step.started_at, step.finished_at));
            let fuel = units::count(step.usage.fuel);
            let memory = units::bytes(step.usage.peak_memory);
            let (role, endpoint) = (one_line(role), one_line(endpoint));
            vec![
                format!("  step {number:<3} +{at}  {role} → {connection} {endpoint}"),
                format!("    took   {took}, {fuel} fuel, {memory}"),
                format!("    input  {}", cut(input, EXCERPT)),
                format!("    gave   {}", ended(&step.outcome)),
            ]
        }
    };
    if let (Some(place), Some(first)) = (&step.place, lines.first_mut()) {
        first.push_str(&format!("  ({})", one_line(place)));
    }
    for (n, one) in step.tries.iter().enumerate() {
        let at = units::micros(between(start, one.at));
        lines.push(format!("    try {:<2} +{at} {}", n + 1, one_line(&one.why)));
    }
    lines.extend(step.gave_up.as_ref().map(|why| format!("    not tried again: {}", one_line(why))));
    lines.extend(step.log.iter().map(|line| format!("    log    {}", logged(line))));
    lines
}

pub(crate) fn ended(outcome: &Outcome<String>) -> String {
    match outcome {
        Outcome::Answered(value) => format!("answered {}", cut(value, EXCERPT)),
        Outcome::Declined(error) => format!("declined: {}", one_line(&error.to_string())),
        Outcome::Exceeded(exceeded) => exceeded.to_string(),
        Outcome::Trapped(trap) => format!("crashed: {}", one_line(trap)),
        Outcome::BadAnswer(why) => format!("gave a bad answer: {}", one_line(why)),
    }
}

fn started_by(by: &StartedBy) -> String {
    match by {
        StartedBy::Webhook(connection) => format!("the webhook of {connection}"),
        StartedBy::Schedule(schedule) => format!("schedule {schedule}"),
        StartedBy::Topic(topic) => format!("topic {topic}"),
        StartedBy::Run(run) => format!("run {run}"),
        StartedBy::Manual(_) => "hand".to_owned(),
    }
}

fn used(usage: &Usage) -> String {
    format!(
        "{} fuel, {} of guest time, {} at most, {} host calls, {} requests out",
        units::count(usage.fuel),
        units::micros(usage.guest_us),
        units::bytes(usage.peak_memory),
        units::count(usage.host_calls),
        usage.outbound_calls,
    )
}

fn logged(line: &LogLine) -> String {
    let level = match line.level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    format!("{level}: {}", one_line(&line.text))
}

fn moment(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.3f UTC").to_string()
}

/// Microseconds from one instant to another; none if the clock was set back between.
pub(crate) fn between(start: Timestamp, end: Timestamp) -> u64 {
    (end - start).num_microseconds().and_then(|us| u64::try_from(us).ok()).unwrap_or(0)
}
