//! Lines for the people who run and read this call.
//!
//! `log::info!("made {id}")`; the host cuts a line at 4 KiB, escapes control
//! characters and ends a call that logs more than its bound.

pub use crate::bindings::connector::wharf::log::log::Level;

/// Writes one line.
pub fn write(level: Level, text: &str) {
    crate::bindings::connector::wharf::log::log::write(level, text);
}

/// Declares one macro for a level. The `$` comes in as a token so that the inner macro can use it.
macro_rules! level {
    ($dollar:tt, $name:ident, $hidden:ident, $level:ident, $doc:literal) => {
        #[doc = $doc]
        #[macro_export]
        #[doc(hidden)]
        macro_rules! $hidden {
                    ($dollar($dollar arg:tt)*) => {
                        $crate::log::write($crate::log::Level::$level, &::std::format!($dollar($dollar arg)*))
                    };
                }
        #[doc = $doc]
        pub use $hidden as $name;
    };
}
level!($, debug, __log_debug, Debug, "Logs what helps to find a fault.");
level!($, info, __log_info, Info, "Logs what happened.");
level!($, warn, __log_warn, Warn, "Logs what may need a look.");
level!($, error, __log_error, Error, "Logs what went wrong.");
