//! What the server tells of itself: logs to standard error, and traces over OTLP when asked.
//!
//! The usual variables decide about traces: an exporter exists only if `OTEL_EXPORTER_OTLP_ENDPOINT`
//! or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is set, `OTEL_SDK_DISABLED` is not `true` and
//! `OTEL_TRACES_EXPORTER` is not `none`. `OTEL_TRACES_SAMPLER` is read here and not by the SDK,
//! because a span that the SDK drops still costs most of a microsecond: [`Sampler`] decides first,
//! and an unsampled call makes no span at all.
//!
//! Not here yet: metrics. Log lines of decisions are not wanted: a line costs ten decisions.

mod sampler;
mod span;

use std::env;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{self as sdk, SdkTracerProvider};
use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

use crate::config::LogFormat;

pub use sampler::{Sampler, SamplerError};
pub use span::{Trace, answered, call_span, code_name};

const SERVICE_NAME: &str = "doorward";

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `--log-level`.
    #[error("the log filter `{filter}` is malformed")]
    Filter {
        /// As given.
        filter: String,
        /// Why.
        source: tracing_subscriber::filter::ParseError,
    },
    /// `OTEL_TRACES_SAMPLER`.
    #[error(transparent)]
    Sampler(#[from] SamplerError),
    /// The exporter does not like its variables.
    #[error("the OTLP exporter cannot be set up: {0}")]
    Exporter(String),
    /// This process logs already.
    #[error("telemetry was set up twice")]
    Twice,
}

/// What was set up; ends with [`Telemetry::flush`].
pub struct Telemetry {
    sampler: Sampler,
    provider: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Sets up logs, and traces if the environment asks for them. Call it inside the runtime that
    /// lives longest: the exporter's connection does.
    ///
    /// # Errors
    /// What was asked for makes no sense, or telemetry was set up before.
    pub fn start(filter: &str, format: LogFormat) -> Result<Self, TelemetryError> {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let (sampler, provider) = if wants_traces(&variable) {
            (Sampler::from_variables(&variable)?, Some(provider(&variable)?))
        } else {
            (Sampler::off(), None)
        };
        let traces = provider.as_ref().map(|provider| {
            let tracer = provider.tracer(SERVICE_NAME);
            // Our own spans and nothing that a library makes, the exporter's connection least of all.
            let ours = Targets::new().with_target(span::TARGET, tracing::Level::INFO);
            tracing_opentelemetry::layer().with_tracer(tracer).with_filter(ours)
        });
        let subscriber = Registry::default().with(traces).with(logs(filter, format)?);
        tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::Twice)?;
        Ok(Self { sampler, provider })
    }

    /// Decides which calls are traced.
    #[must_use]
    pub fn sampler(&self) -> &Sampler {
        &self.sampler
    }

    /// Sends what was traced but not sent. Blocks, some seconds at most.
    pub fn flush(self) {
        if let Some(provider) = self.provider
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last traces may be lost");
        }
    }
}

fn logs<S>(filter: &str, format: LogFormat) -> Result<Box<dyn Layer<S> + Send + Sync>, TelemetryError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let malformed = |source| TelemetryError::Filter { filter: filter.to_owned(), source };
    let filter = EnvFilter::builder().parse(filter).map_err(malformed)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    Ok(match format {
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).with_filter(filter).boxed(),
        LogFormat::Text => lines.with_ansi(false).with_filter(filter).boxed(),
    })
}

fn wants_traces(variable: &dyn Fn(&str) -> Option<String>) -> bool {
    let is = |name: &str, word: &str| variable(name).is_some_and(|value| value.eq_ignore_ascii_case(word));
    let endpoints = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    let endpoint = endpoints.into_iter().any(|name| variable(name).is_some());
    endpoint && !is("OTEL_SDK_DISABLED", "true") && !is("OTEL_TRACES_EXPORTER", "none")
}

fn provider(variable: &dyn Fn(&str) -> Option<String>) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = SpanExporter::builder().with_tonic().build();
    let exporter = exporter.map_err(|error| TelemetryError::Exporter(error.to_string()))?;
    let named = variable("OTEL_SERVICE_NAME").is_some()
        || variable("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|list| list.contains("service.name="));
    let resource = Resource::builder();
    let resource = if named { resource } else { resource.with_service_name(SERVICE_NAME) };
    // What reaches the SDK was sampled by us.
    let builder = SdkTracerProvider::builder().with_sampler(sdk::Sampler::AlwaysOn);
    Ok(builder.with_resource(resource.build()).with_batch_exporter(exporter).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(variables: &[(&str, &str)]) -> bool {
        wants_traces(&|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn traces_go_out_only_where_an_endpoint_is_named() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");
        assert!(!wants(&[]));
        assert!(wants(&[endpoint]));
        assert!(wants(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4317")]));
        assert!(!wants(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]));
        assert!(!wants(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]));
        assert!(wants(&[endpoint, ("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_SDK_DISABLED", "false")]));
    }

    #[test]
    fn a_malformed_filter_is_an_error() {
        assert!(matches!(logs::<Registry>("info,=!", LogFormat::Json), Err(TelemetryError::Filter { .. })));
        assert!(logs::<Registry>("info,doorward::store=debug", LogFormat::Text).is_ok());
    }
}
