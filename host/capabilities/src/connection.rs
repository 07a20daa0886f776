//! `wharf:connection`: the config of the connection that this call runs for.
//! The credentials are not in it.

use crate::Call;
use crate::bindings::connector::wharf::connection::connection;

impl connection::Host for Call {
    fn name(&mut self) -> wasmtime::Result<String> {
        let name = self.connection().map(|connection| connection.name.to_string()).unwrap_or_default();
        self.meter.host_call(name.len())?;
        Ok(name)
    }

    fn field(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        let value = self.connection().and_then(|connection| connection.field(&name));
        self.meter.host_call(name.len() + value.as_ref().map_or(0, String::len))?;
        Ok(value)
    }

    fn all(&mut self) -> wasmtime::Result<String> {
        let all = match self.connection() {
            Some(connection) => serde_json::to_string(&connection.config)?,
            None => "{}".to_owned(),
        };
        self.meter.host_call(all.len())?;
        Ok(all)
    }
}
