//! An engine that benches ask and change.

#![allow(dead_code, reason = "each bench uses a part of it")]

use std::sync::Arc;

use doorward::clock::SystemClock;
use doorward::core::change::Change;
use doorward::core::decision::{Question, Reason};
use doorward::core::id::Id;
use doorward::core::model::Row;
use doorward::core::table::Table;
use doorward::engine::{Call, Create, Engine};
use doorward::store::PolicyStore;

/// An engine, and a thread for what it awaits.
pub struct Running {
    pub engine: Arc<Engine>,
    runtime: tokio::runtime::Runtime,
}

impl Running {
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    #[inline]
    pub fn ask(&self, organization: &str, question: &Question<'_>) -> Reason {
        self.engine.authorize(organization, None, question, |decided, _| decided.reason).unwrap()
    }

    /// Puts these rows in place of whatever the organization has.
    pub fn replace(&self, organization: &str, rows: Vec<Row>) {
        self.block_on(write(&self.engine, organization, Change::Replace { rows, deactivate_missing: false }));
    }
}

/// An engine on that store, as a server has it.
pub fn engine(store: Arc<dyn PolicyStore>) -> Running {
    let fatal = |error| panic!("{error}");
    let engine = Engine::open(store, Arc::new(SystemClock), fatal).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    Running { engine: Arc::new(engine), runtime }
}

/// One change, acknowledged.
pub async fn write(engine: &Arc<Engine>, id: &str, change: Change) {
    let call = Call {
        organization: Id::parse(id).unwrap(),
        caller: "bench".to_owned(),
        on_behalf_of: None,
        peer: String::new(),
        method: "bench",
        request_id: String::new(),
        body: [0; 32],
        validate_only: false,
        create: Create::IfMissing,
    };
    let plan = |_: &Table| Ok::<_, std::convert::Infallible>(vec![change]);
    engine.write(call, plan, |_| Vec::new()).await.unwrap();
}
