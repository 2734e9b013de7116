//! As much of everybody's messages as is asked here, with their field numbers.

/// `doorward.v1`.
pub mod doorward {
    use std::collections::BTreeMap;

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct AuthorizeRequest {
        #[prost(string, tag = "1")]
        pub organization: String,
        #[prost(string, tag = "2")]
        pub principal: String,
        #[prost(string, tag = "3")]
        pub permission: String,
        #[prost(message, optional, tag = "4")]
        pub resource: Option<Resource>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Resource {
        #[prost(string, tag = "2")]
        pub object: String,
        #[prost(message, optional, tag = "3")]
        pub record: Option<Record>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Record {
        #[prost(string, tag = "1")]
        pub id: String,
        #[prost(btree_map = "string, message", tag = "4")]
        pub attributes: BTreeMap<String, Value>,
    }

    /// Alternatives: one of them.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Value {
        #[prost(double, optional, tag = "4")]
        pub double: Option<f64>,
        #[prost(string, optional, tag = "5")]
        pub string: Option<String>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct AuthorizeResponse {
        /// 1 is allow, 2 deny.
        #[prost(int32, tag = "1")]
        pub decision: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct FilterRecordsRequest {
        #[prost(string, tag = "1")]
        pub organization: String,
        #[prost(string, tag = "2")]
        pub principal: String,
        #[prost(string, tag = "3")]
        pub permission: String,
        #[prost(string, tag = "5")]
        pub object: String,
        #[prost(message, optional, tag = "10")]
        pub columns: Option<RecordColumns>,
        #[prost(bool, tag = "12")]
        pub bitmap: bool,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct RecordColumns {
        #[prost(message, optional, tag = "1")]
        pub ids: Option<StringColumn>,
        #[prost(message, repeated, tag = "4")]
        pub attributes: Vec<Column>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct StringColumn {
        #[prost(string, tag = "1")]
        pub text: String,
        #[prost(uint32, repeated, tag = "2")]
        pub lengths: Vec<u32>,
        #[prost(uint32, repeated, tag = "3")]
        pub indexes: Vec<u32>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct DoubleColumn {
        #[prost(double, repeated, tag = "1")]
        pub values: Vec<f64>,
    }

    /// Values of one type: one of the alternatives.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Column {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(message, optional, tag = "6")]
        pub doubles: Option<DoubleColumn>,
        #[prost(message, optional, tag = "7")]
        pub strings: Option<StringColumn>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct FilterRecordsResponse {
        #[prost(bytes = "bytes", tag = "6")]
        pub bitmap: bytes::Bytes,
    }
}

/// `cerbos.request.v1`, `cerbos.engine.v1`, `cerbos.response.v1`.
pub mod cerbos {
    use std::collections::HashMap;

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct CheckResourcesRequest {
        #[prost(message, optional, tag = "3")]
        pub principal: Option<Principal>,
        #[prost(message, repeated, tag = "4")]
        pub resources: Vec<ResourceEntry>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Principal {
        #[prost(string, tag = "1")]
        pub id: String,
        #[prost(string, repeated, tag = "3")]
        pub roles: Vec<String>,
        #[prost(map = "string, message", tag = "4")]
        pub attr: HashMap<String, prost_types::Value>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ResourceEntry {
        #[prost(string, repeated, tag = "1")]
        pub actions: Vec<String>,
        #[prost(message, optional, tag = "2")]
        pub resource: Option<Resource>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Resource {
        #[prost(string, tag = "1")]
        pub kind: String,
        #[prost(string, tag = "3")]
        pub id: String,
        #[prost(map = "string, message", tag = "4")]
        pub attr: HashMap<String, prost_types::Value>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct CheckResourcesResponse {
        #[prost(message, repeated, tag = "2")]
        pub results: Vec<ResultEntry>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ResultEntry {
        /// Effects: 1 is allow.
        #[prost(map = "string, int32", tag = "2")]
        pub actions: HashMap<String, i32>,
    }
}

/// `authzed.api.v1`.
pub mod spicedb {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Consistency {
        /// One of the alternatives: answer from what is cached.
        #[prost(bool, optional, tag = "1")]
        pub minimize_latency: Option<bool>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ObjectReference {
        #[prost(string, tag = "1")]
        pub object_type: String,
        #[prost(string, tag = "2")]
        pub object_id: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct SubjectReference {
        #[prost(message, optional, tag = "1")]
        pub object: Option<ObjectReference>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct CheckPermissionRequest {
        #[prost(message, optional, tag = "1")]
        pub consistency: Option<Consistency>,
        #[prost(message, optional, tag = "2")]
        pub resource: Option<ObjectReference>,
        #[prost(string, tag = "3")]
        pub permission: String,
        #[prost(message, optional, tag = "4")]
        pub subject: Option<SubjectReference>,
        #[prost(message, optional, tag = "5")]
        pub context: Option<prost_types::Struct>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct CheckPermissionResponse {
        /// 2 is yes, 1 no, 3 that something is missing.
        #[prost(int32, tag = "2")]
        pub permissionship: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct CheckBulkPermissionsRequest {
        #[prost(message, optional, tag = "1")]
        pub consistency: Option<Consistency>,
        #[prost(message, repeated, tag = "2")]
        pub items: Vec<Item>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Item {
        #[prost(message, optional, tag = "1")]
        pub resource: Option<ObjectReference>,
        #[prost(string, tag = "2")]
        pub permission: String,
        #[prost(message, optional, tag = "3")]
        pub subject: Option<SubjectReference>,
        #[prost(message, optional, tag = "4")]
        pub context: Option<prost_types::Struct>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct CheckBulkPermissionsResponse {
        #[prost(message, repeated, tag = "2")]
        pub pairs: Vec<Pair>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Pair {
        #[prost(message, optional, tag = "2")]
        pub item: Option<Outcome>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Outcome {
        /// As in [`CheckPermissionResponse`].
        #[prost(int32, tag = "1")]
        pub permissionship: i32,
    }
}

/// `openfga.v1`.
pub mod openfga {
    use std::collections::HashMap;

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct TupleKey {
        #[prost(string, tag = "1")]
        pub user: String,
        #[prost(string, tag = "2")]
        pub relation: String,
        #[prost(string, tag = "3")]
        pub object: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct CheckRequest {
        #[prost(string, tag = "1")]
        pub store_id: String,
        #[prost(message, optional, tag = "2")]
        pub tuple_key: Option<TupleKey>,
        #[prost(string, tag = "4")]
        pub authorization_model_id: String,
        #[prost(message, optional, tag = "6")]
        pub context: Option<prost_types::Struct>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct CheckResponse {
        #[prost(bool, tag = "1")]
        pub allowed: bool,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct BatchCheckRequest {
        #[prost(string, tag = "1")]
        pub store_id: String,
        #[prost(message, repeated, tag = "2")]
        pub checks: Vec<BatchCheckItem>,
        #[prost(string, tag = "3")]
        pub authorization_model_id: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct BatchCheckItem {
        #[prost(message, optional, tag = "1")]
        pub tuple_key: Option<TupleKey>,
        #[prost(message, optional, tag = "3")]
        pub context: Option<prost_types::Struct>,
        #[prost(string, tag = "4")]
        pub correlation_id: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct BatchCheckResponse {
        #[prost(map = "string, message", tag = "1")]
        pub result: HashMap<String, BatchCheckSingleResult>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct BatchCheckSingleResult {
        #[prost(bool, optional, tag = "1")]
        pub allowed: Option<bool>,
        #[prost(message, optional, tag = "2")]
        pub error: Option<CheckError>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct CheckError {
        #[prost(string, tag = "3")]
        pub message: String,
    }
}
