//! A running server, as the commands that talk to one see it.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::StatusExt;

use super::{CliError, read};

/// Which server, and who asks.
#[derive(Debug, Clone, clap::Args)]
pub struct ServerArgs {
    /// The server's address, such as `127.0.0.1:7420`, or `unix:///run/doorward.sock`.
    #[arg(long, env = "DOORWARD_SERVER")]
    pub server: Option<String>,
    /// A file with the bearer token to present.
    #[arg(long, env = "DOORWARD_CLIENT_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// A channel on which every call presents the token.
pub type Connection = InterceptedService<Channel, Token>;

/// Adds the token to calls.
#[derive(Clone)]
pub struct Token(Option<MetadataValue<Ascii>>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl ServerArgs {
    /// Connects.
    ///
    /// # Errors
    /// No address was given, the token cannot be read, or nobody answers within five seconds.
    pub async fn connect(&self) -> Result<Connection, CliError> {
        let address = self.address()?;
        let unreachable = |problem: String| CliError::Unreachable { address: address.to_owned(), problem };
        let uri = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        let endpoint = Endpoint::from_shared(uri).map_err(|e| unreachable(e.to_string()))?;
        let endpoint = endpoint.connect_timeout(Duration::from_secs(5));
        let channel = endpoint.connect().await.map_err(|e| unreachable(chain(&e)))?;
        Ok(InterceptedService::new(channel, Token(self.token()?)))
    }

    /// What to dial.
    ///
    /// # Errors
    /// No address was given.
    pub fn address(&self) -> Result<&str, CliError> {
        let missing = || CliError::Usage("give the server's address with `--server`".to_owned());
        self.server.as_deref().ok_or_else(missing)
    }

    /// The value of `authorization`, if a token is presented.
    ///
    /// # Errors
    /// The token cannot be read.
    pub fn token(&self) -> Result<Option<MetadataValue<Ascii>>, CliError> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let token = read(path)?;
        let value = MetadataValue::from_str(&format!("Bearer {}", token.trim()));
        let mut value = value.map_err(|_| CliError::Usage(format!("{}: this is no token", path.display())))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// An error and what caused it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// A server's refusal, with every field that it names.
pub fn refused(status: &Status) -> CliError {
    CliError::Refused(format!("the server answered {}", told(status)))
}

/// An error, with every field that it names.
pub fn told(status: &Status) -> String {
    let mut text = format!("{}: {}", code_name(status.code()), status.message());
    for violation in status.get_details_bad_request().iter().flat_map(|b| &b.field_violations) {
        text = format!("{text}\n  {}: {}", violation.field, violation.description);
    }
    for violation in status.get_details_precondition_failure().iter().flat_map(|p| &p.violations) {
        text = format!("{text}\n  {}: {}", violation.subject, violation.description);
    }
    text
}

/// The name of a status code, as decision-test files write it: `NOT_FOUND`.
pub fn code_name(code: tonic::Code) -> String {
    let mut name = String::new();
    for (index, c) in format!("{code:?}").char_indices() {
        if index > 0 && c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    #[test]
    fn codes_are_named_as_the_protocol_names_them() {
        assert_eq!(super::code_name(tonic::Code::NotFound), "NOT_FOUND");
        assert_eq!(super::code_name(tonic::Code::Ok), "OK");
        assert_eq!(super::code_name(tonic::Code::InvalidArgument), "INVALID_ARGUMENT");
    }
}
