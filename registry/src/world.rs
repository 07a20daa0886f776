//! What each world offers and requires, read from the WIT files themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use host_model::manifest::World;
use wit_parser::{InterfaceId, PackageId, Resolve, UnresolvedPackageGroup, WorldItem};

macro_rules! wit {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../wit/", $path)))),*]
    };
}

/// The contract, as this registry was built with.
const WIT: &[(&str, &str)] = wit!(
    "deps/wasi-cli/cli.wit",
    "deps/wasi-clocks/clocks.wit",
    "deps/wasi-filesystem/filesystem.wit",
    "deps/wasi-http/http.wit",
    "deps/wasi-io/io.wit",
    "deps/wasi-random/random.wit",
    "deps/wasi-sockets/sockets.wit",
    "deps/wharf-clock/clock.wit",
    "deps/wharf-connection/connection.wit",
    "deps/wharf-endpoints/endpoints.wit",
    "deps/wharf-http/http.wit",
    "deps/wharf-kv/kv.wit",
    "deps/wharf-log/log.wit",
    "deps/wharf-panic/panic.wit",
    "deps/wharf-random/random.wit",
    "deps/wharf-smtp/smtp.wit",
    "deps/wharf-types/types.wit",
    "deps/wharf-workflow/workflow.wit",
);
const WORLDS: &str = include_str!("../../wit/worlds.wit");

/// The functions of each interface, by its name without version.
type Interfaces = BTreeMap<String, Interface>;

/// One interface of the contract.
pub(crate) struct Interface {
    /// `wharf:kv/store@0.1.0`.
    pub(crate) name: String,
    /// `get`, `[method]pending.wait`.
    pub(crate) functions: BTreeSet<String>,
    track: String,
}

/// What a guest of one world may import and must export.
pub(crate) struct Contract {
    /// The world's name in a manifest.
    pub(crate) world: &'static str,
    /// What it may import.
    pub(crate) imports: Interfaces,
    /// What it must export.
    pub(crate) exports: Interfaces,
}

/// The contract of one world.
pub(crate) fn contract(world: World) -> &'static Contract {
    match world {
        World::Connector => &CONTRACTS.connector,
        World::Workflow => &CONTRACTS.workflow,
        World::HttpProxy => &CONTRACTS.proxy,
    }
}

/// The world, if any, whose guests may import this.
pub(crate) fn offered_elsewhere(import: &str) -> Option<&'static str> {
    let contracts = [&CONTRACTS.connector, &CONTRACTS.workflow, &CONTRACTS.proxy];
    contracts.into_iter().find(|contract| find(&contract.imports, import).is_some()).map(|it| it.world)
}

/// The interface that a guest's name means: the same but for the minor version.
pub(crate) fn find<'a>(interfaces: &'a Interfaces, name: &str) -> Option<&'a Interface> {
    let (path, version) = name.split_once('@')?;
    interfaces.get(path).filter(|interface| track(version).as_deref() == Some(interface.track.as_str()))
}

struct Contracts {
    connector: Contract,
    workflow: Contract,
    proxy: Contract,
}

#[expect(clippy::expect_used, reason = "the files are ours and compiled in; this crate's tests read them")]
static CONTRACTS: LazyLock<Contracts> = LazyLock::new(|| read().expect("wit/ is a valid WIT package"));

fn read() -> Option<Contracts> {
    let parse = |path: &str, text| UnresolvedPackageGroup::parse(path, text).ok();
    let deps = WIT.iter().map(|(path, text)| parse(path, text)).collect::<Option<Vec<_>>>()?;
    let mut resolve = Resolve::default();
    let worlds = resolve.push_groups(parse("worlds.wit", WORLDS)?, deps).ok()?;

    // Components that language runtimes make drag in WASI interfaces that they
    // never call; the host links all of them and denies files and sockets.
    let wasi = wasi_interfaces(&resolve);
    let mut connector = world(&resolve, worlds, "connector")?;
    connector.imports.extend(wasi_interfaces(&resolve));
    let mut proxy = world(&resolve, worlds, "http-proxy")?;
    proxy.imports.extend(wasi);
    // Nothing of WASI for a workflow: only what a journal can replay.
    let workflow = world(&resolve, worlds, "workflow")?;
    Some(Contracts { connector, workflow, proxy })
}

fn world(resolve: &Resolve, package: PackageId, name: &'static str) -> Option<Contract> {
    let world = resolve.worlds.get(*resolve.packages.get(package)?.worlds.get(name)?)?;
    let interfaces = |items: &mut dyn Iterator<Item = &WorldItem>| {
        items
            .filter_map(|item| match item {
                WorldItem::Interface { id, .. } => interface(resolve, *id),
                _ => None,
            })
            .collect()
    };
    Some(Contract {
        world: name,
        imports: interfaces(&mut world.imports.values()),
        exports: interfaces(&mut world.exports.values()),
    })
}

fn wasi_interfaces(resolve: &Resolve) -> Interfaces {
    resolve
        .packages
        .iter()
        .filter(|(_, package)| package.name.namespace == "wasi")
        .flat_map(|(_, package)| package.interfaces.values())
        .filter_map(|id| interface(resolve, *id))
        .collect()
}

fn interface(resolve: &Resolve, id: InterfaceId) -> Option<(String, Interface)> {
    let name = resolve.id_of(id)?;
    let (path, version) = name.split_once('@')?;
    let (path, track) = (path.to_owned(), track(version)?);
    let functions = resolve.interfaces.get(id)?.functions.keys().cloned().collect();
    Some((path, Interface { name, functions, track }))
}

/// What versions that fit each other have in common: `0.1` of `0.1.7`, `2` of `2.3.4`.
fn track(version: &str) -> Option<String> {
    let version = semver::Version::parse(version).ok()?;
    Some(match (version.major, version.minor) {
        _ if !version.pre.is_empty() => version.to_string(),
        (0, 0) => version.to_string(),
        (0, minor) => format!("0.{minor}"),
        (major, _) => major.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_that_is_compiled_in_is_the_one_in_the_wit_folder() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit/deps");
        let packages = std::fs::read_dir(root).unwrap().count();
        assert_eq!(WIT.len(), packages, "a folder of {root} is not in WIT, or the other way round");
    }

    #[test]
    fn each_world_offers_what_its_wit_says() {
        let connector = contract(World::Connector);
        let kv = find(&connector.imports, "wharf:kv/store@0.1.9").unwrap();
        assert!(kv.functions.contains("compare-and-set"));
        assert!(find(&connector.imports, "wharf:kv/store@0.2.0").is_none());
        assert!(find(&connector.imports, "wasi:sockets/tcp@0.2.0").is_some());
        assert!(find(&connector.exports, "wharf:endpoints/endpoints@0.1.0").is_some());

        let workflow = contract(World::Workflow);
        assert!(find(&workflow.imports, "wasi:clocks/wall-clock@0.2.0").is_none());
        let calls = find(&workflow.imports, "wharf:workflow/calls@0.1.0").unwrap();
        assert!(calls.functions.contains("[method]pending.wait"));

        let proxy = contract(World::HttpProxy);
        assert!(find(&proxy.exports, "wasi:http/incoming-handler@0.2.3").is_some());
        assert!(find(&proxy.imports, "wharf:log/log@0.1.0").is_none());
        assert_eq!(offered_elsewhere("wharf:workflow/calls@0.1.0"), Some("workflow"));
    }
}
