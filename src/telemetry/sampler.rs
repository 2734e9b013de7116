//! Which calls are traced, decided from a header and before anything is made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;

use super::Trace;

const TRACEPARENT: &str = "traceparent";

/// Decides which calls are traced, as `OTEL_TRACES_SAMPLER` says.
#[derive(Debug, Clone)]
pub struct Sampler {
    /// Whether a caller's own decision holds.
    follows_parent: bool,
    /// None: tracing is off, and no header is looked at.
    root: Option<Root>,
}

/// What happens to a call whose trace begins here.
#[derive(Debug, Clone)]
enum Root {
    Always,
    Never,
    /// Traced if the id, a number below 2^63, is below `bound`.
    Ratio {
        bound: u64,
        /// Stands for the ids of traces that begin here. It need not be hard to guess.
        state: Arc<AtomicU64>,
    },
}

/// What the environment says makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SamplerError {
    /// Not one that we have.
    #[error(
        "OTEL_TRACES_SAMPLER is `{0}`: it may be always_on, always_off, traceidratio or one of these after `parentbased_`"
    )]
    Unknown(String),
    /// No ratio.
    #[error("OTEL_TRACES_SAMPLER_ARG is `{0}`: it must be a number between 0 and 1")]
    Ratio(String),
}

impl Sampler {
    /// Traces nothing.
    #[must_use]
    pub fn off() -> Self {
        Self { follows_parent: false, root: None }
    }

    /// As `OTEL_TRACES_SAMPLER` and its `_ARG` say; `parentbased_always_on` by default.
    ///
    /// # Errors
    /// They say something unknown. (An SDK would fall back to tracing everything.)
    pub fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, SamplerError> {
        let name = variable("OTEL_TRACES_SAMPLER").unwrap_or_else(|| "parentbased_always_on".to_owned());
        let (follows_parent, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name.as_str()),
        };
        let root = match root {
            "always_on" => Root::Always,
            "always_off" => Root::Never,
            "traceidratio" => ratio(variable("OTEL_TRACES_SAMPLER_ARG"))?,
            _ => return Err(SamplerError::Unknown(name)),
        };
        Ok(Self { follows_parent, root: Some(root) })
    }

    /// Whether this call is traced, and as part of what.
    #[inline]
    #[must_use]
    pub fn decide(&self, headers: &HeaderMap) -> Option<Trace> {
        let root = self.root.as_ref()?;
        let parent = headers.get(TRACEPARENT).and_then(|value| Parent::read(value.as_bytes()));
        let sampled = match (&parent, root) {
            (Some(parent), _) if self.follows_parent => parent.sampled,
            (_, Root::Always) => true,
            (_, Root::Never) => false,
            (Some(parent), Root::Ratio { bound, .. }) => parent.trace >> 1 < *bound,
            (None, Root::Ratio { bound, state }) => next(state) >> 1 < *bound,
        };
        let context = || TraceContextPropagator::new().extract(&Headers(headers));
        sampled.then(|| Trace { parent: parent.map(|_| context()) })
    }
}

fn ratio(argument: Option<String>) -> Result<Root, SamplerError> {
    let argument = argument.unwrap_or_else(|| "1".to_owned());
    let ratio: f64 = argument.parse().map_err(|_| SamplerError::Ratio(argument.clone()))?;
    if !(0.0..=1.0).contains(&ratio) {
        return Err(SamplerError::Ratio(argument));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let bound = (ratio * (1_u64 << 63) as f64) as u64;
    Ok(Root::Ratio { bound, state: Arc::default() })
}

/// SplitMix64: a sequence that hits every number once.
fn next(state: &AtomicU64) -> u64 {
    let mut z = state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What a decision needs of `00-TRACE-SPAN-FLAGS`; the propagator reads the rest of sampled ones.
struct Parent {
    /// The lower half of the trace's id.
    trace: u64,
    sampled: bool,
}

impl Parent {
    fn read(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let digits = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let shaped = digits(version, 2) && digits(trace, 32) && digits(span, 16) && digits(flags, 2);
        let blank = |text: &str| text.bytes().all(|b| b == b'0');
        if !shaped || version == "ff" || blank(trace) || blank(span) || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let trace = u64::from_str_radix(trace.get(16..)?, 16).ok()?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self { trace, sampled: flags & 1 == 1 })
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use opentelemetry::trace::TraceContextExt;

    use super::*;

    const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    fn sampler(name: &str, argument: &str) -> Result<Sampler, SamplerError> {
        Sampler::from_variables(&|variable| match variable {
            "OTEL_TRACES_SAMPLER" => Some(name).filter(|n| !n.is_empty()).map(str::to_owned),
            _ => Some(argument).filter(|a| !a.is_empty()).map(str::to_owned),
        })
    }

    fn headers(traceparent: &'static str) -> HeaderMap {
        let value = (!traceparent.is_empty()).then(|| HeaderValue::from_static(traceparent));
        value.into_iter().map(|value| (http::HeaderName::from_static(TRACEPARENT), value)).collect()
    }

    #[test]
    fn each_sampler_decides_as_it_is_named() {
        for (name, argument, root, sampled, unsampled) in [
            ("", "", true, true, false),
            ("always_on", "", true, true, true),
            ("always_off", "", false, false, false),
            ("parentbased_always_on", "", true, true, false),
            ("parentbased_always_off", "", false, true, false),
            ("parentbased_traceidratio", "0", false, true, false),
            ("parentbased_traceidratio", "1", true, true, false),
            ("traceidratio", "0", false, false, false),
            ("traceidratio", "", true, true, true),
        ] {
            let sampler = sampler(name, argument).unwrap();
            let decide = |traceparent| sampler.decide(&headers(traceparent)).is_some();
            assert_eq!(
                (decide(""), decide(SAMPLED), decide(UNSAMPLED)),
                (root, sampled, unsampled),
                "{name} {argument}"
            );
        }
        assert!(Sampler::off().decide(&headers(SAMPLED)).is_none());
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        for (name, argument) in
            [("sometimes", ""), ("parentbased_", ""), ("traceidratio", "2"), ("traceidratio", "NaN")]
        {
            assert!(sampler(name, argument).is_err(), "{name} {argument}");
        }
    }

    #[test]
    fn a_ratio_takes_its_share() {
        let sampler = sampler("parentbased_traceidratio", "0.1").unwrap();
        let taken = (0..100_000).filter(|_| sampler.decide(&HeaderMap::new()).is_some()).count();
        assert!((9_000..11_000).contains(&taken), "{taken}");
    }

    #[test]
    fn the_trace_goes_on_from_its_parent() {
        let trace = sampler("", "").unwrap().decide(&headers(SAMPLED)).unwrap();
        let parent = trace.parent.unwrap();
        assert_eq!(parent.span().span_context().trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(parent.span().span_context().span_id().to_string(), "b7ad6b7169203331");
    }

    #[test]
    fn a_malformed_parent_is_none() {
        for traceparent in [
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-+1",
        ] {
            let off = sampler("parentbased_always_off", "").unwrap();
            assert!(off.decide(&headers(traceparent)).is_none(), "{traceparent}");
        }
    }
}
