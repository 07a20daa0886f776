//! Egress against real servers on loopback, which each test opens by hand.

#[cfg(test)]
mod conduct;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod echoes;
#[cfg(test)]
mod gates;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod mail;
#[cfg(test)]
mod oauth;
#[cfg(test)]
mod pools;
#[cfg(test)]
mod reads;
#[cfg(test)]
mod redirects;
#[cfg(test)]
mod signed;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tls;
