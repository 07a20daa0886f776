//! What `bindgen!` makes of `wit/`: host traits for the imports, and typed
//! calls of the exports for `host/sandbox`.
#![expect(missing_docs, reason = "generated from wit/, which is documented")]

/// World `connector`.
pub mod connector {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "wharf:worlds/connector",
        imports: {
            "wharf:kv/store@0.1.0": async | trappable,
            "wharf:http/outgoing@0.1.0": async | trappable,
            "wharf:smtp/submission@0.1.0": async | trappable,
            default: trappable,
        },
        exports: { default: async },
    });
}

/// World `workflow`; shares its common interfaces with `connector`.
pub mod workflow {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "wharf:worlds/workflow",
        imports: {
            "wharf:workflow/calls@0.1.0": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        with: {
            "wharf:types/types@0.1.0": super::connector::wharf::types::types,
            "wharf:log/log@0.1.0": super::connector::wharf::log::log,
            "wharf:panic/panic@0.1.0": super::connector::wharf::panic::panic,
            "wharf:clock/clock@0.1.0": super::connector::wharf::clock::clock,
            "wharf:random/random@0.1.0": super::connector::wharf::random::random,
            "wharf:workflow/calls@0.1.0.pending": crate::workflow::PendingCall,
        },
    });
}
