//! What crosses in a WASI call is counted like what crosses in one of ours.
//!
//! wasmtime's implementations count nothing. These stand before the functions
//! that take or give lists and texts, which cost the host far more than the
//! guest pays in fuel: without them a guest could have the host copy, or keep,
//! gigabytes for next to nothing, and hold a worker meanwhile. What is left
//! uncounted moves a few bytes a call.

use host_model::outcome::Exceeded;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::p2::bindings::io::poll::Host as _;
use wasmtime_wasi::p2::bindings::io::streams::{
    Host as Streams, HostInputStream as _, HostOutputStream as _, StreamError,
};
use wasmtime_wasi::p2::bindings::random::{insecure::Host as _, random::Host as _};
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::{Host as _, Network, ResolveAddressStream};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, Host as _};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, StreamResult};
use wasmtime_wasi::random::WasiRandomView;
use wasmtime_wasi::sockets::WasiSocketsView;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::HeaderResult;
use wasmtime_wasi_http::p2::bindings::http::types::{
    Fields, HeaderError, HostFields as _, HostOutgoingRequest as _, Method, OutgoingRequest, Scheme,
};

use crate::state::State;

/// The longest method; the longest registered one has 17 bytes. wasmtime would
/// keep any length for each request that a guest makes and never sends.
const MAX_METHOD: usize = 32;
/// What the host keeps for one entry of a list of handles.
const LISTED_HANDLE: usize = 16;

type Store<'a> = StoreContextMut<'a, State>;
type Entries = Vec<(String, Vec<u8>)>;

fn count(store: &mut Store<'_>, bytes: usize) -> Result<(), Exceeded> {
    store.data_mut().call.meter.bytes(bytes)
}

/// Replaces the functions that carry data; for a linker that has all of WASI.
pub(crate) fn meter(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    streams(linker)?;
    random(linker)?;
    fields(linker)?;
    requests(linker)?;
    names(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// A stream's result as the guest sees it; a trap stays one.
fn streamed<T>(store: &mut Store<'_>, done: StreamResult<T>) -> wasmtime::Result<(Result<T, StreamError>,)> {
    Ok((match done {
        Ok(value) => Ok(value),
        Err(error) => Err(store.data_mut().ctx().table.convert_stream_error(error)?),
    },))
}

fn headed<T>(done: HeaderResult<T>) -> wasmtime::Result<(Result<T, HeaderError>,)> {
    Ok((match done {
        Ok(value) => Ok(value),
        Err(error) => Err(error.downcast()?),
    },))
}

fn streams(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut poll = linker.instance("wasi:io/poll@0.2.12")?;
    poll.func_wrap_async("poll", |mut store: Store<'_>, (handles,): (Vec<Resource<DynPollable>>,)| {
        Box::new(async move {
            count(&mut store, handles.len() * LISTED_HANDLE)?;
            Ok((store.data_mut().ctx().table.poll(handles).await?,))
        })
    })?;

    let mut streams = linker.instance("wasi:io/streams@0.2.12")?;
    streams.func_wrap(
        "[method]output-stream.write",
        |mut store: Store<'_>, (this, bytes): (Resource<DynOutputStream>, Vec<u8>)| {
            count(&mut store, bytes.len())?;
            let done = store.data_mut().ctx().table.write(this, bytes);
            streamed(&mut store, done)
        },
    )?;
    streams.func_wrap_async(
        "[method]output-stream.blocking-write-and-flush",
        |mut store: Store<'_>, (this, bytes): (Resource<DynOutputStream>, Vec<u8>)| {
            Box::new(async move {
                count(&mut store, bytes.len())?;
                let done = store.data_mut().ctx().table.blocking_write_and_flush(this, bytes).await;
                streamed(&mut store, done)
            })
        },
    )?;
    streams.func_wrap(
        "[method]input-stream.read",
        |mut store: Store<'_>, (this, len): (Resource<DynInputStream>, u64)| {
            let done = store.data_mut().ctx().table.read(this, len);
            count(&mut store, done.as_ref().map_or(0, Vec::len))?;
            streamed(&mut store, done)
        },
    )?;
    streams.func_wrap_async(
        "[method]input-stream.blocking-read",
        |mut store: Store<'_>, (this, len): (Resource<DynInputStream>, u64)| {
            Box::new(async move {
                let done = store.data_mut().ctx().table.blocking_read(this, len).await;
                count(&mut store, done.as_ref().map_or(0, Vec::len))?;
                streamed(&mut store, done)
            })
        },
    )
}

fn random(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance("wasi:random/random@0.2.12")?.func_wrap(
        "get-random-bytes",
        |mut store: Store<'_>, (len,): (u64,)| {
            let bytes = store.data_mut().random().get_random_bytes(len)?;
            count(&mut store, bytes.len())?;
            Ok((bytes,))
        },
    )?;
    linker.instance("wasi:random/insecure@0.2.12")?.func_wrap(
        "get-insecure-random-bytes",
        |mut store: Store<'_>, (len,): (u64,)| {
            let bytes = store.data_mut().random().get_insecure_random_bytes(len)?;
            count(&mut store, bytes.len())?;
            Ok((bytes,))
        },
    )
}

fn fields(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = linker.instance("wasi:http/types@0.2.12")?;
    types.func_wrap("[static]fields.from-list", |mut store: Store<'_>, (entries,): (Entries,)| {
        count(&mut store, entries.iter().map(|(name, value)| name.len() + value.len()).sum())?;
        headed(store.data_mut().http().from_list(entries))
    })?;
    types.func_wrap(
        "[method]fields.has",
        |mut store: Store<'_>, (this, name): (Resource<Fields>, String)| {
            count(&mut store, name.len())?;
            Ok((store.data_mut().http().has(this, name)?,))
        },
    )?;
    types.func_wrap(
        "[method]fields.get",
        |mut store: Store<'_>, (this, name): (Resource<Fields>, String)| {
            count(&mut store, name.len())?;
            let values = store.data_mut().http().get(this, name)?;
            count(&mut store, values.iter().map(Vec::len).sum())?;
            Ok((values,))
        },
    )?;
    types.func_wrap(
        "[method]fields.set",
        |mut store: Store<'_>, (this, name, values): (Resource<Fields>, String, Vec<Vec<u8>>)| {
            count(&mut store, name.len() + values.iter().map(Vec::len).sum::<usize>())?;
            headed(store.data_mut().http().set(this, name, values))
        },
    )?;
    types.func_wrap(
        "[method]fields.delete",
        |mut store: Store<'_>, (this, name): (Resource<Fields>, String)| {
            count(&mut store, name.len())?;
            headed(store.data_mut().http().delete(this, name))
        },
    )?;
    types.func_wrap(
        "[method]fields.append",
        |mut store: Store<'_>, (this, name, value): (Resource<Fields>, String, Vec<u8>)| {
            count(&mut store, name.len() + value.len())?;
            headed(store.data_mut().http().append(this, name, value))
        },
    )?;
    types.func_wrap("[method]fields.entries", |mut store: Store<'_>, (this,): (Resource<Fields>,)| {
        let entries = store.data_mut().http().entries(this)?;
        count(&mut store, entries.iter().map(|(name, value)| name.len() + value.len()).sum())?;
        Ok((entries,))
    })
}

fn requests(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = linker.instance("wasi:http/types@0.2.12")?;
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store: Store<'_>, (this, method): (Resource<OutgoingRequest>, Method)| {
            let long = match &method {
                Method::Other(name) => {
                    count(&mut store, name.len())?;
                    name.len() > MAX_METHOD
                }
                _ => false,
            };
            if long {
                return Ok((Err(()),));
            }
            Ok((store.data_mut().http().set_method(this, method)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-scheme",
        |mut store: Store<'_>, (this, scheme): (Resource<OutgoingRequest>, Option<Scheme>)| {
            if let Some(Scheme::Other(name)) = &scheme {
                count(&mut store, name.len())?;
            }
            Ok((store.data_mut().http().set_scheme(this, scheme)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-authority",
        |mut store: Store<'_>, (this, text): (Resource<OutgoingRequest>, Option<String>)| {
            count(&mut store, text.as_ref().map_or(0, String::len))?;
            Ok((store.data_mut().http().set_authority(this, text)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-path-with-query",
        |mut store: Store<'_>, (this, text): (Resource<OutgoingRequest>, Option<String>)| {
            count(&mut store, text.as_ref().map_or(0, String::len))?;
            Ok((store.data_mut().http().set_path_with_query(this, text)?,))
        },
    )
}

fn names(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance("wasi:sockets/ip-name-lookup@0.2.12")?.func_wrap(
        "resolve-addresses",
        |mut store: Store<'_>, (network, name): (Resource<Network>, String)| {
            count(&mut store, name.len())?;
            let mut sockets = store.data_mut().sockets();
            let done: Result<Resource<ResolveAddressStream>, ErrorCode> =
                match sockets.resolve_addresses(network, name) {
                    Ok(stream) => Ok(stream),
                    Err(error) => Err(sockets.convert_error_code(error)?),
                };
            Ok((done,))
        },
    )
}
