//! Which power an operation takes, read from the type of its handler.

use super::{InTenant, May, Power, Row, power};

/// What an operation takes of its caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard {
    pub(crate) row: &'static Row,
}

/// What `/run` takes, by [`Token::may_start`](crate::Token::may_start).
pub(crate) const START: Guard = Guard { row: &power::Start::ROW };

/// A first argument that proves a power.
pub(crate) trait Proof {
    const ROW: &'static Row;
}

impl<P: Power> Proof for May<P> {
    const ROW: &'static Row = &P::ROW;
}

impl<P: Power> Proof for InTenant<P> {
    const ROW: &'static Row = &P::ROW;
}

/// A handler whose first argument proves a power.
pub(crate) trait Guarded<Arguments> {
    const GUARD: Guard;
}

macro_rules! guarded {
    ($($argument:ident)*) => {
        impl<F, P: Proof, $($argument,)* R> Guarded<(P, $($argument,)*)> for F
        where
            F: Fn(P, $($argument),*) -> R,
        {
            const GUARD: Guard = Guard { row: P::ROW };
        }
    };
}
guarded!();
guarded!(A);
guarded!(A B);
guarded!(A B C);
guarded!(A B C D);
guarded!(A B C D E);

/// What the handler's first argument says.
pub(crate) fn guard<Arguments, F: Guarded<Arguments>>(_: &F) -> Guard {
    F::GUARD
}
