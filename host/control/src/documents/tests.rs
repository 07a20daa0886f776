//! Files as people write them, and as they mistype them.

use super::*;

const CRM: &str = "\
kind: connection
name: crm
package: example/crm@0.1.0
config:
  base-url: http://127.0.0.1:9101
  retries: 3
credentials:
  api-key: { secret: crm-key }
grants:
  http: ['http://127.0.0.1:9101']
";

fn wrong(text: &str) -> String {
    let mistakes = parse(text).expect_err("it is wrong");
    Mistakes { file: "lead.yaml".to_owned(), mistakes }.to_string()
}

#[test]
fn a_file_has_several_documents_of_several_kinds() {
    let text = format!(
        "{CRM}---\nkind: workflow\nname: intake\npackage: example/intake@0.1.0\nroles: {{ crm: crm }}\n\
         triggers:\n  - webhook: {{ connection: web-form, message: lead }}\n\
         ---\nname: nightly\nkind: schedule\ncron: 0 3 * * *\nworkflow: intake\ninput: {{ full: true }}\n\
         ---\nkind: tenant\nname: acme\nbounds: {{ wall-ms: 5000 }}\n"
    );
    let documents = parse(&text).unwrap();
    let lines: Vec<_> = documents.iter().map(|document| document.line).collect();
    assert_eq!(lines, [1, 12, 19, 25]);
    let Resource::Connection(crm) = &documents[0].resource else { panic!("{:?}", documents[0]) };
    assert_eq!(crm.config["retries"], 3);
    let Resource::Schedule(nightly) = &documents[2].resource else { panic!("{:?}", documents[2]) };
    assert_eq!((nightly.cron.as_str(), nightly.input["full"].as_bool()), ("0 3 * * *", Some(true)));
}

#[test]
fn a_typo_is_told_with_file_line_key_and_nearest() {
    let typo = format!("kind: tenant\nname: acme\n---\n{}", CRM.replace("package:", "pakage:"));
    let said = wrong(&typo);
    assert!(
        said.starts_with("lead.yaml line 6: unknown key `pakage`, expected one of `name`, `package`"),
        "{said}"
    );
    assert!(said.ends_with("(did you mean `package`?)"), "{said}");

    let nested = wrong(&CRM.replace("secret:", "secrte:"));
    assert!(nested.starts_with("lead.yaml line 8: unknown key `secrte`"), "{nested}");
    let kind = wrong(&CRM.replace("kind: connection", "kind: conection"));
    assert!(kind.starts_with("lead.yaml line 1: unknown value `conection`"), "{kind}");
    assert!(kind.ends_with("(did you mean `connection`?)"), "{kind}");
}

#[test]
fn every_document_that_is_wrong_is_told_at_once() {
    let said = wrong("kind: tenant\nnam: a\n---\nname: b\n---\nkind: tenant\nname: C\n");
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(lines[0].starts_with("lead.yaml line 2: unknown key `nam`"), "{said}");
    assert!(lines[1].contains("line 4: the key `kind` is missing"), "{said}");
    assert!(lines[2].contains("line 7: ") && lines[2].contains("`C` is not a tenant"), "{said}");
}

#[test]
fn what_is_not_yaml_or_not_a_mapping_is_told_with_its_line() {
    for (text, want) in [
        ("kind: tenant\nname: [a\n", "line "),
        ("- a\n- b\n", "line 1: "),
        ("kind: tenant\nname: a\nname: b\n", "line 3: the key `name` is there twice"),
        ("just text", "line 1: "),
        ("kind: tenant\nname: \"a\u{7}\"\n", "line 2: "),
    ] {
        let said = wrong(text);
        assert!(said.contains(want), "{text:?} gives {said:?}");
        assert!(!said.contains('\u{7}'), "{said:?}");
    }
}

#[test]
fn an_alias_shares_a_block_and_a_bomb_is_refused() {
    let shared = "kind: connection\nname: a\npackage: a/b@1.0.0\nconfig: { one: &x { k: 1 }, two: *x }\n";
    assert_eq!(parse(shared).unwrap().len(), 1);

    let mut bomb =
        "kind: connection\nname: a\npackage: a/b@1.0.0\nconfig:\n  a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
            .to_owned();
    for level in 1..12 {
        let of = level - 1;
        bomb += &format!("  a{level}: &a{level} [{}]\n", vec![format!("*a{of}"); 9].join(", "));
    }
    let said = wrong(&bomb);
    assert!(said.contains("alias"), "{said}");
}

#[test]
fn depth_and_the_number_of_documents_are_bounded() {
    let deep = format!(
        "kind: connection\nname: a\npackage: a/b@1.0.0\nconfig: {{ x: {}1{} }}\n",
        "[".repeat(500),
        "]".repeat(500)
    );
    wrong(&deep);
    let many = "---\nkind: tenant\nname: a\n".repeat(MAX_DOCUMENTS + 1);
    assert_eq!(wrong(&many), "lead.yaml: the file has 1001 documents, the limit is 1000: apply it in parts");
}
