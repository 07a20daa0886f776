//! The contract's bindings as they are generated from `wit/`, for those who
//! want them plain. The rest of this crate hides them and adds no power.
//!
//! Each guest exports one world with `export_connector!` or
//! `export_workflow!` (the attribute macros do it). What a guest does not
//! call, its component does not import.

#![allow(missing_docs, unreachable_pub, unsafe_code)] // generated; `wit/` has the documentation
#![allow(clippy::all, clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]

/// The world `connector`.
pub mod connector {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "connector",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_connector",
        default_bindings_module: "wharf_sdk::bindings::connector",
    });
}

/// The world `workflow`; what it shares with `connector` is the same type.
pub mod workflow {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "workflow",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_workflow",
        default_bindings_module: "wharf_sdk::bindings::workflow",
        with: {
            "wharf:types/types@0.1.0": crate::bindings::connector::wharf::types::types,
            "wharf:log/log@0.1.0": crate::bindings::connector::wharf::log::log,
            "wharf:panic/panic@0.1.0": crate::bindings::connector::wharf::panic::panic,
            "wharf:clock/clock@0.1.0": crate::bindings::connector::wharf::clock::clock,
            "wharf:random/random@0.1.0": crate::bindings::connector::wharf::random::random,
        },
    });
}
