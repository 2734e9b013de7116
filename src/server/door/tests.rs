use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::HeaderValue;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing_subscriber::layer::{self, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

use super::*;
use crate::clock::SystemClock;
use crate::engine::Engine;
use crate::server::services;
use crate::store::MemoryStore;

/// Counts spans, and remembers the method of the last.
#[derive(Clone, Default)]
struct Counting {
    spans: Arc<AtomicUsize>,
    method: Arc<Mutex<String>>,
}

impl<S: tracing::Subscriber> Layer<S> for Counting {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: layer::Context<'_, S>) {
        self.spans.fetch_add(1, Ordering::Relaxed);
        attributes.record(&mut self.clone());
    }
}

impl Visit for Counting {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "rpc.method" {
            value.clone_into(&mut self.method.lock().unwrap());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

fn question(flags: &str) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = "/doorward.v1.DecisionService/Authorize".parse().unwrap();
    let traceparent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
    request.headers_mut().insert("traceparent", HeaderValue::from_str(&traceparent).unwrap());
    request
}

#[test]
fn only_a_sampled_call_makes_a_span() {
    let engine = Engine::open(Arc::new(MemoryStore::new()), Arc::new(SystemClock), |e| panic!("{e}"));
    let engine = Arc::new(engine.unwrap());
    let services = services::assemble(&engine).unwrap();
    let sampler = Sampler::from_variables(&|_| None).unwrap();
    let decisions = services::decisions(&engine);
    let (gate, peer) = (Gate::open_to_all(engine), crate::service::Peer::Here);
    let door = Door { gate, sampler, decisions, rest: services.rest, peer };

    let counting = Counting::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tracing::subscriber::with_default(Registry::default().with(counting.clone()), || {
        for _ in 0..10 {
            runtime.block_on(door.answer(question("00"))).unwrap();
        }
        assert_eq!(counting.spans.load(Ordering::Relaxed), 0, "unsampled");
        runtime.block_on(door.answer(question("01"))).unwrap();
        assert_eq!(counting.spans.load(Ordering::Relaxed), 1, "sampled");
    });
    assert_eq!(*counting.method.lock().unwrap(), "doorward.v1.DecisionService/Authorize");
}
