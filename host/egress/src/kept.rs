//! The answers that a connection keeps: HTTP's own rules for a cache (RFC
//! 9111), as the crate `http-cache-semantics` reads them, within bounds.
//!
//! A cache belongs to one connection of one tenant, so it is a private one;
//! what a guest fetches with an `authorization` of its own is held to the rules
//! of a shared one. An entry holds no credential: its request is the guest's,
//! and its answer is scrubbed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use host_model::digest::Digest;
use host_model::resource::egress::CacheSpec;
use http::header::{AGE, AUTHORIZATION, CACHE_CONTROL, COOKIE, DATE, RANGE, VARY};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_cache_semantics::{AfterResponse, BeforeRequest, CacheOptions, CachePolicy};
use parking_lot::Mutex;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use tokio::time::Instant;

/// What an entry costs besides its body and headers.
const OVERHEAD: u64 = 512;

/// How much more all caches of a host may hold.
#[derive(Clone)]
pub(crate) struct Budget(Arc<AtomicU64>);

/// A part of the budget; gives itself back.
struct Share(Budget, u64);

impl Budget {
    pub(crate) fn of(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    fn take(&self, bytes: u64) -> Option<Share> {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).ok()?;
        Some(Share(self.clone(), bytes))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.0.fetch_add(self.1, Ordering::Relaxed);
    }
}

/// One connection's answers, by URL.
pub(crate) struct Keep {
    spec: CacheSpec,
    budget: Budget,
    began: Instant,
    answers: Mutex<Cache<String, Arc<Kept>, Weigher>>,
}

/// An answer that is kept.
pub(crate) struct Kept {
    policy: CachePolicy,
    answer: Response<Bytes>,
    /// What the host added to the request: another credential may see another answer.
    credential: Option<Digest>,
    _share: Share,
}

/// What is known of a read before it goes out.
pub(crate) enum Known {
    /// Nothing.
    Nothing,
    /// The answer, which still holds.
    Fresh(Response<Bytes>),
    /// An answer that may still hold: ask with these headers.
    Stale(Arc<Kept>, HeaderMap),
}

#[derive(Clone)]
struct Weigher {
    /// So that entries are bounded too, however small.
    least: u64,
}

impl Weighter<String, Arc<Kept>> for Weigher {
    fn weight(&self, url: &String, kept: &Arc<Kept>) -> u64 {
        size(url, &kept.answer).max(self.least)
    }
}

fn size(url: &str, answer: &Response<Bytes>) -> u64 {
    let headers: usize = answer.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    // The policy holds the headers a second time.
    (url.len() + 2 * headers + answer.body().len()) as u64 + OVERHEAD
}

/// Whether a cache may have a say in a request at all: a plain read. Whoever
/// asks for a part, or on a condition, or with a session, asks for himself.
pub(crate) fn is_plain_read<B>(request: &Request<B>) -> bool {
    let conditional = |name: &str| name.starts_with("if-");
    *request.method() == Method::GET
        && !request.headers().contains_key(RANGE)
        && !request.headers().contains_key(COOKIE)
        && !request.headers().keys().any(|name| conditional(name.as_str()))
}

impl Keep {
    pub(crate) fn new(spec: CacheSpec, budget: Budget) -> Self {
        let least = (spec.bytes / u64::from(spec.entries)).max(1);
        let answers = Cache::with_weighter(spec.entries as usize, spec.bytes, Weigher { least });
        Self { spec, budget, began: Instant::now(), answers: Mutex::new(answers) }
    }

    /// What is known of this read.
    pub(crate) fn known(&self, request: &Request<()>, credential: Option<Digest>, now: Instant) -> Known {
        let url = request.uri().to_string();
        let Some(kept) = self.answers.lock().get(&url).cloned() else { return Known::Nothing };
        if kept.credential != credential {
            return Known::Nothing;
        }
        match kept.policy.before_request(request, self.time(now)) {
            BeforeRequest::Fresh(_) => Known::Fresh(self.aged(&kept, now)),
            BeforeRequest::Stale { request, matches: true } => Known::Stale(kept, request.headers),
            BeforeRequest::Stale { .. } => Known::Nothing,
        }
    }

    /// Takes in an answer to a read: gives what the guest gets. `None`: the
    /// answer says that what is kept still holds, and it does not.
    pub(crate) fn take_in(
        &self,
        request: &Request<()>,
        credential: Option<Digest>,
        stale: Option<&Kept>,
        answer: Response<Bytes>,
        now: Instant,
    ) -> Option<(Response<Bytes>, bool)> {
        let time = self.time(now);
        let Some(stale) = stale else {
            let options = CacheOptions {
                shared: request.headers().contains_key(AUTHORIZATION),
                ..CacheOptions::default()
            };
            let policy = CachePolicy::new_options(request, &answer, time, options);
            self.keep(request, credential, policy, &answer);
            return Some((answer, false));
        };
        match stale.policy.after_response(request, &answer, time) {
            AfterResponse::NotModified(policy, mut head) => {
                // The crate dates what it gives; a cache has no business to (RFC 9111, 5.1).
                head.headers.remove(DATE);
                let date = answer.headers().get(DATE).or_else(|| stale.answer.headers().get(DATE));
                date.map(|date| head.headers.insert(DATE, date.clone()));
                let answer = Response::from_parts(head, stale.answer.body().clone());
                self.keep(request, credential, policy, &answer);
                Some((answer, true))
            }
            AfterResponse::Modified(..) if answer.status() == http::StatusCode::NOT_MODIFIED => {
                self.forget(&request.uri().to_string());
                None
            }
            AfterResponse::Modified(policy, _) => {
                self.keep(request, credential, policy, &answer);
                Some((answer, false))
            }
        }
    }

    /// A stale answer in place of a failure, if it is not too old and does not forbid it.
    pub(crate) fn stand_in(&self, kept: &Kept, now: Instant) -> Option<Response<Bytes>> {
        let age = kept.policy.age(self.time(now));
        let lifetime = kept.policy.time_to_live(UNIX_EPOCH) + kept.policy.age(UNIX_EPOCH);
        let limit = lifetime.saturating_add(Duration::from_secs(self.spec.stale_if_error_s.into()));
        if self.spec.stale_if_error_s == 0 || age > limit || forbids_stale(kept.answer.headers()) {
            return None;
        }
        Some(self.aged(kept, now))
    }

    fn aged(&self, kept: &Kept, now: Instant) -> Response<Bytes> {
        let mut answer = kept.answer.clone();
        let age = kept.policy.age(self.time(now));
        answer.headers_mut().insert(AGE, HeaderValue::from(age.as_secs()));
        answer
    }

    /// Something was changed there.
    pub(crate) fn forget(&self, url: &str) {
        self.answers.lock().remove(url);
    }

    fn keep(
        &self,
        request: &Request<()>,
        credential: Option<Digest>,
        policy: CachePolicy,
        answer: &Response<Bytes>,
    ) {
        let url = request.uri().to_string();
        // Without a date an expiry is one by the outside system's clock, which we do not know.
        let dated = answer.headers().contains_key(DATE)
            || directives(answer.headers()).any(|it| it.starts_with("max-age="));
        let varies = answer.headers().get_all(VARY).iter().any(|vary| vary.as_bytes().contains(&b'*'));
        let size = size(&url, answer);
        let fits = dated && !varies && has_sane_age(answer.headers()) && size <= self.spec.bytes;
        let share = if fits && policy.is_storable() { self.budget.take(size) } else { None };
        let mut answers = self.answers.lock();
        match share {
            Some(share) => {
                let kept = Kept { policy, answer: answer.clone(), credential, _share: share };
                answers.insert(url, Arc::new(kept));
            }
            // What was kept no longer holds.
            None => drop(answers.remove(&url)),
        }
    }

    /// A time of day for the crate, which only ever subtracts: ours begins with
    /// the cache, and stands still when tests hold the timers.
    fn time(&self, now: Instant) -> SystemTime {
        UNIX_EPOCH + now.saturating_duration_since(self.began)
    }
}

/// An age beyond this (RFC 9111, 1.2.2) is nonsense; the crate would add to it.
fn has_sane_age(headers: &HeaderMap) -> bool {
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()).map(|age| age.trim().parse::<u64>());
    age.is_none_or(|age| age.is_ok_and(|age| age <= 1 << 31))
}

/// Directives that ask for the outside system's word each time (RFC 9111, 4.2.4).
fn forbids_stale(headers: &HeaderMap) -> bool {
    directives(headers).any(|it| matches!(it.as_str(), "must-revalidate" | "no-cache" | "no-store"))
}

fn directives(headers: &HeaderMap) -> impl Iterator<Item = String> {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|it| it.trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: CacheSpec = CacheSpec { bytes: 64 << 10, entries: 10, stale_if_error_s: 60 };
    const URL: &str = "https://a.example/x";
    const ROOM: u64 = 1 << 20;

    fn keep() -> Keep {
        Keep::new(SPEC, Budget::of(ROOM))
    }

    fn read(headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::get(URL);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn answer(status: u16, headers: &[(&str, &str)], body: &'static str) -> Response<Bytes> {
        let mut answer = Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        answer.body(Bytes::from(body)).unwrap()
    }

    fn take(keep: &Keep, request: &Request<()>, with: &[(&str, &str)], at: Instant) {
        keep.take_in(request, None, None, answer(200, with, "kept"), at).unwrap();
    }

    fn state(keep: &Keep, request: &Request<()>, at: Instant) -> &'static str {
        match keep.known(request, None, at) {
            Known::Nothing => "nothing",
            Known::Fresh(_) => "fresh",
            Known::Stale(..) => "stale",
        }
    }

    #[test]
    fn what_is_kept_is_what_http_allows_a_private_cache() {
        let own = [("authorization", "Bearer of-the-guest")];
        for (asked, told, want) in [
            (&[][..], &[("cache-control", "max-age=60")][..], "fresh"),
            (&[], &[("cache-control", "private, max-age=60")], "fresh"),
            (&[], &[("cache-control", "no-store")], "nothing"),
            (&[], &[("cache-control", "no-cache"), ("date", "Fri, 21 Nov 2025 12:00:00 GMT")], "stale"),
            (&[], &[("cache-control", "max-age=60"), ("vary", "*")], "nothing"),
            (&[], &[("cache-control", "max-age=60"), ("vary", "accept")], "fresh"),
            (&[], &[], "nothing"),
            (&[], &[("expires", "Fri, 21 Nov 2099 12:00:00 GMT")], "nothing"),
            (&[], &[("cache-control", "max-age=60"), ("age", "18446744073709551615")], "nothing"),
            (&[], &[("cache-control", "max-age=60"), ("age", "50")], "fresh"),
            (&[], &[("cache-control", "max-age=60"), ("age", "70")], "stale"),
            (&own, &[("cache-control", "max-age=60")], "nothing"),
            (&own, &[("cache-control", "private, max-age=60")], "nothing"),
            (&own, &[("cache-control", "public, max-age=60")], "fresh"),
        ] {
            let (keep, now, request) = (keep(), Instant::now(), read(asked));
            take(&keep, &request, told, now);
            assert_eq!(state(&keep, &request, now), want, "{asked:?} {told:?}");
        }
    }

    #[test]
    fn another_credential_another_header_that_it_varies_by_and_a_change_see_nothing_of_it() {
        let (keep, now) = (keep(), Instant::now());
        let told = [("cache-control", "max-age=60"), ("vary", "accept-language")];
        take(&keep, &read(&[("accept-language", "de")]), &told, now);
        assert_eq!(state(&keep, &read(&[("accept-language", "de")]), now), "fresh");
        assert_eq!(state(&keep, &read(&[("accept-language", "en")]), now), "nothing");
        let other = Some(Digest::of(b"another credential"));
        assert!(matches!(keep.known(&read(&[("accept-language", "de")]), other, now), Known::Nothing));
        keep.forget(URL);
        assert_eq!(state(&keep, &read(&[("accept-language", "de")]), now), "nothing");
    }

    #[test]
    fn what_is_stale_is_asked_about_and_taken_over_if_it_still_holds() {
        let (keep, now, request) = (keep(), Instant::now(), read(&[]));
        let date = ("date", "Fri, 21 Nov 2025 12:00:00 GMT");
        take(&keep, &request, &[("cache-control", "max-age=10"), ("etag", "\"1\""), date], now);
        let later = now + Duration::from_secs(11);
        let Known::Stale(stale, headers) = keep.known(&request, None, later) else { panic!() };
        assert_eq!(headers["if-none-match"], "\"1\"");
        let newer = ("date", "Fri, 21 Nov 2025 12:00:11 GMT");
        let holds = answer(304, &[("etag", "\"1\""), newer], "");
        let (taken, revalidated) = keep.take_in(&request, None, Some(&stale), holds, later).unwrap();
        assert_eq!((taken.status().as_u16(), taken.body().as_ref(), revalidated), (200, &b"kept"[..], true));
        assert_eq!(taken.headers()["date"], newer.1);
        assert_eq!(state(&keep, &request, later), "fresh");

        let of_another = answer(304, &[("etag", "\"2\"")], "");
        assert!(keep.take_in(&request, None, Some(&stale), of_another, later).is_none());
        assert_eq!(state(&keep, &request, later), "nothing");
    }

    #[test]
    fn a_stale_answer_stands_in_for_a_while_unless_it_forbids_it() {
        let (now, request) = (Instant::now(), read(&[]));
        let at = |seconds| now + Duration::from_secs(seconds);
        for (told, want) in [("max-age=10", true), ("max-age=10, must-revalidate", false)] {
            let keep = keep();
            take(&keep, &request, &[("cache-control", told)], now);
            let Known::Stale(stale, _) = keep.known(&request, None, at(20)) else { panic!() };
            assert_eq!(keep.stand_in(&stale, at(70)).is_some(), want, "{told}");
            assert!(keep.stand_in(&stale, at(71)).is_none(), "{told}");
        }
    }

    #[test]
    fn bytes_and_entries_are_bounded_and_given_back() {
        let budget = Budget::of(ROOM);
        let keep = Keep::new(SPEC, budget.clone());
        for at in 0..100 {
            let request = Request::get(format!("https://a.example/{at}")).body(()).unwrap();
            take(&keep, &request, &[("cache-control", "max-age=60")], Instant::now());
        }
        assert!(keep.answers.lock().len() <= SPEC.entries as usize);
        let large = Response::builder().header("cache-control", "max-age=60");
        let large = large.body(Bytes::from(vec![b'x'; SPEC.bytes as usize])).unwrap();
        keep.take_in(&read(&[]), None, None, large, Instant::now());
        assert_eq!(state(&keep, &read(&[]), Instant::now()), "nothing");
        drop(keep);
        assert_eq!(budget.0.load(Ordering::Relaxed), ROOM);
        let all = budget.take(ROOM).unwrap();
        assert!(budget.take(1).is_none());
        drop(all);
        assert!(budget.take(1).is_some());
    }

    proptest::proptest! {
        /// Whatever an outside system writes into its headers, nothing breaks,
        /// and what says `no-store` is not kept.
        #[test]
        fn no_header_of_an_outside_system_breaks_the_cache(
            told in proptest::collection::vec((
                "(cache-control|age|expires|date|last-modified|etag|vary|pragma|warning)",
                "(max-age=|s-maxage=|no-store|no-cache|public|immutable|W/|\"|,|[0-9]{1,21}|Fri, 21 Nov 2025 12:00:00 GMT|[ -~]{0,8}){0,4}",
            ), 0..5),
            status in 200_u16..600,
            later in 0_u64..100_000_000,
        ) {
            let told: Vec<_> = told.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let (keep, now, request) = (keep(), Instant::now(), read(&[]));
            keep.take_in(&request, None, None, answer(status, &told, "x"), now);
            let at = now + Duration::from_secs(later);
            if let Known::Stale(stale, _) = keep.known(&request, None, at) {
                keep.stand_in(&stale, at);
                keep.take_in(&request, None, Some(&stale), answer(304, &told, ""), at);
                keep.known(&request, None, at);
            }
            let fresh = Keep::new(SPEC, Budget::of(ROOM));
            let mut told = told;
            told.push(("cache-control", "no-store"));
            fresh.take_in(&request, None, None, answer(200, &told, "x"), now);
            proptest::prop_assert!(matches!(fresh.known(&request, None, now), Known::Nothing));
        }
    }
}
