//! What Markdown points at.

use std::path::{Component, Path, PathBuf};

use crate::tree::{files, none, read, root};

#[test]
fn every_relative_link_leads_somewhere() {
    let mut offenders = Vec::new();
    for page in files(&["md"]) {
        for link in links(&read(&page)) {
            if let Err(why) = follow(&page, &link) {
                offenders.push(format!("{}: `{link}` {why}", page.display()));
            }
        }
    }
    none("correct the link", offenders);
}

/// A promise without the test that shows it is a claim.
#[test]
fn every_test_that_the_page_on_security_names_is_there() {
    let sources: String = files(&["rs"]).iter().map(read).collect();
    let page = read("docs/security.md");
    let spans = page.split('`').skip(1).step_by(2);
    let is_test = |span: &&str| {
        span.matches('_').count() >= 3 && span.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let named: Vec<_> = spans.filter(is_test).collect();
    assert!(named.len() > 100, "only {} names found: does the scan still see the page?", named.len());
    let there = |name: &str| sources.contains(&format!("fn {name}("));
    let missing = named.iter().filter(|name| !there(name)).map(|name| (*name).to_owned()).collect();
    none("docs/security.md names a test that is not there", missing);
}

fn follow(page: &Path, link: &str) -> Result<(), String> {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() {
        page.to_owned()
    } else {
        tidy(&page.parent().unwrap_or(Path::new("")).join(file)).ok_or("leads out of the repository")?
    };
    if !root().join(&target).exists() {
        return Err("leads nowhere".to_owned());
    }
    let is_page = target.extension().is_some_and(|extension| extension == "md");
    if is_page && !anchor.is_empty() && !anchors(&read(&target)).any(|known| known == anchor) {
        return Err("names no heading there".to_owned());
    }
    Ok(())
}

/// Resolves `..` by name; `None` above the root.
fn tidy(path: &Path) -> Option<PathBuf> {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => tidy.pop().then_some(())?,
            Component::CurDir => {}
            part => tidy.push(part),
        }
    }
    Some(tidy)
}

/// Lines outside fenced code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// Targets of `[text](target)` and `[name]: target` that have no scheme.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(text) {
        // Odd parts are `code`.
        let line: String = line.split('`').step_by(2).collect();
        let inline = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
        let defined = line.split_once("]: ").filter(|(name, _)| name.starts_with('[')).map(|(_, rest)| rest);
        links.extend(inline.chain(defined.and_then(|rest| rest.split(' ').next())).map(str::to_owned));
    }
    links.retain(|link| !link.contains("://") && !link.starts_with("mailto:"));
    links
}

/// A heading's anchor as GitHub makes it.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    prose(text).filter(|line| line.starts_with('#')).map(|line| {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

#[test]
fn links_are_found_where_readers_see_them() {
    let text = "[a](b.md#c) ![i](d.png) [w](https://x) `[n](o)`\n```\n[p](q)\n```\n[r]: ../s.md\n";
    assert_eq!(links(text), ["b.md#c", "d.png", "../s.md"]);
    let anchors: Vec<_> = anchors("# The `WIT` way, again\n```\n# no\n```\n## b-c\n").collect();
    assert_eq!(anchors, ["the-wit-way-again", "b-c"]);
    assert_eq!(tidy(Path::new("docs/../host/./x")), Some(PathBuf::from("host/x")));
    assert_eq!(tidy(Path::new("docs/../../etc")), None);
}
