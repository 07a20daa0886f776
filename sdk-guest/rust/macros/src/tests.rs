use proc_macro2::TokenStream;
use quote::quote;

fn connector(block: TokenStream) -> Result<String, String> {
    let done = crate::connector::expand(block, &TokenStream::new());
    done.map(|code| code.to_string()).map_err(|error| error.to_string())
}

#[test]
fn each_endpoint_is_described_and_served_in_its_direction_only() {
    let code = connector(quote! {
        impl Crm {
            #[outbound("create-lead")]
            fn create(input: Lead) -> Result<Id, Error> { todo!() }
            #[wharf_sdk::inbound("hook")]
            fn hook(request: &Request) -> Result<Received, Error> { todo!() }
            fn other() {}
        }
    })
    .unwrap();
    for (part, times) in
        [("\"create-lead\"", 2), ("\"hook\"", 2), ("rt :: outbound", 1), ("rt :: inbound", 1)]
    {
        assert_eq!(code.matches(part).count(), times, "{part} in {code}");
    }
    assert!(!code.contains("# [outbound") && !code.contains("inbound (\"hook\")"), "{code}");
}

#[test]
fn a_mistake_is_named() {
    let check = |block: TokenStream, want: &str| {
        let error = connector(block).unwrap_err();
        assert!(error.contains(want), "{error}");
    };
    check(quote! { impl A {} }, "at least one");
    check(quote! { impl Guest for A {} }, "inherent block");
    check(quote! { impl A { #[outbound] fn a(i: I) {} } }, "as in wharf.toml");
    check(quote! { impl A { #[outbound("Create_Lead")] fn a(i: I) {} } }, "lower-case letters");
    check(quote! { impl A { #[outbound("a")] fn a(&self) {} } }, "there is no `self`");
    check(quote! { impl A { #[outbound("a")] fn a() {} } }, "takes its input");
    check(quote! { impl A { #[inbound("a")] fn a() {} } }, "`request: &Request`");
    check(quote! { impl A { #[check] fn a(i: I) {} } }, "a check takes nothing");
    let twice = quote! { impl A { #[outbound("a")] fn a(i: I) {} #[inbound("a")] fn b(r: &R) {} } };
    check(twice, "already an endpoint of this name");
    let twice = quote! { impl A { #[outbound("a")] fn a(i: I) {} #[check] fn b() {} #[check] fn c() {} } };
    check(twice, "already a #[check]");
    let workflow = crate::workflow::expand(quote! { fn run() {} }, &TokenStream::new());
    assert!(workflow.unwrap_err().to_string().contains("takes the message"));
}

#[test]
fn the_manifest_must_be_there() {
    let error = |arguments| crate::manifest::embed(arguments).unwrap_err().to_string();
    assert!(error(quote! {}).contains("there is no `wharf.toml` beside Cargo.toml"));
    assert!(error(quote! { manifest = "other.toml" }).contains("there is no `other.toml`"));
    assert!(error(quote! { grants = "all" }).contains("the only argument is"));
    assert!(crate::manifest::embed(quote! { manifest = "Cargo.toml" }).is_ok());
}
