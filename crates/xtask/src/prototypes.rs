//! The prototypes of a C header, so written that two headers can be compared. Not a C parser: it knows what the headers
//! of this project are made of, and reads no file.

use std::collections::BTreeMap;

/// The prototypes of a header by name: its functions, and its callbacks (typedefs of function pointers).
pub(crate) type Prototypes = BTreeMap<String, String>;

/// Reads them, each in one line and one spacing.
pub(crate) fn prototypes(header: &str) -> Prototypes {
    let code = without_directives(&without_comments(header)).replace("extern \"C\" {", "");
    statements(&code).iter().filter_map(|statement| named(&respaced(statement))).collect()
}

/// What is different, a line for each prototype: changed, not agreed, or missing.
pub(crate) fn differences(ours: &Prototypes, agreed: &Prototypes) -> Vec<String> {
    let mut found = Vec::new();
    for (name, here) in ours {
        match agreed.get(name) {
            None => found.push(format!("{name} is not agreed: {here}")),
            Some(there) if there != here => found.push(format!("{name} differs: {here}; agreed is: {there}")),
            Some(_) => {}
        }
    }
    let missing = agreed.iter().filter(|(name, _)| !ours.contains_key(*name));
    found.extend(missing.map(|(name, there)| format!("{name} is missing: {there}")));
    found
}

fn without_comments(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("/*").into_iter().chain(rest.find("//")).min() {
        code += &rest[..start];
        let end = if rest[start..].starts_with("/*") { "*/" } else { "\n" };
        let after = rest[start + 2..].find(end).map_or(rest.len(), |at| start + 2 + at + end.len());
        code += if end == "\n" { "\n" } else { " " };
        rest = &rest[after..];
    }
    code + rest
}

fn without_directives(text: &str) -> String {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

/// What stands between semicolons, those inside braces not counted.
fn statements(code: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut depth = 0_usize;
    for c in code.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ';' if depth == 0 => {
                found.push(String::new());
                continue;
            }
            _ => {}
        }
        found.last_mut().expect("it begins with one and only grows").push(c);
    }
    found
}

/// One space between words, before a star that follows a word, and after a comma; none elsewhere.
fn respaced(statement: &str) -> String {
    let mut line = String::new();
    let mut gap = false;
    for c in statement.chars() {
        if c.is_whitespace() {
            gap = true;
            continue;
        }
        let apart = match line.chars().next_back() {
            None => false,
            Some(',') => true,
            Some(before) => is_word(before) && (c == '*' || gap && is_word(c)),
        };
        line.extend(apart.then_some(' '));
        line.push(c);
        gap = false;
    }
    line
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The prototype under its name; nothing for what is neither function nor callback.
fn named(statement: &str) -> Option<(String, String)> {
    let is_typedef = statement.starts_with("typedef ");
    if statement.contains('{') || is_typedef && !statement.contains("(*") {
        return None;
    }
    let (before, after) = statement.split_once('(')?;
    let name =
        if is_typedef { after.trim_start_matches('*').split(')').next() } else { before.rsplit([' ', '*']).next() };
    Some((name?.into(), statement.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGREED: &str = r#"
        /* A manual; with (brackets) and { braces */
        #ifndef R_H
        #define R_ALL \
          f(x);
        #ifdef __cplusplus
        extern "C" {
        #endif
        typedef enum r_mode { R_A = 0, /* one; two */ R_B = 1 } r_mode;
        typedef struct r r;
        typedef uint64_t r_conn;
        typedef int32_t (*r_process_fn)(void *user_data,
                                        size_t len);
        typedef struct r_report { size_t size; int (*f)(void); } r_report;
        r *r_start(const char *addr, uint32_t mode); // starts; it
        const char *r_last_error(void);
        r_status r_set(r *options, void *user_data, void (*user_data_free)(void *user_data));
        #ifdef __cplusplus
        }
        #endif
    "#;

    #[test]
    fn functions_and_callbacks_are_found_and_nothing_else() {
        let found = prototypes(AGREED);
        let names: Vec<_> = found.keys().map(String::as_str).collect();
        assert_eq!(names, ["r_last_error", "r_process_fn", "r_set", "r_start"]);
        assert_eq!(found["r_start"], "r *r_start(const char *addr, uint32_t mode)");
        assert_eq!(found["r_process_fn"], "typedef int32_t(*r_process_fn)(void *user_data, size_t len)");
    }

    #[test]
    fn white_space_makes_no_difference() {
        let ours = "r* r_start ( const char * addr,uint32_t   mode\n) ;\nconst char*r_last_error( void );
            typedef int32_t(* r_process_fn ) (void*user_data,size_t len);";
        let found = differences(&prototypes(ours), &prototypes(AGREED));
        assert!(found.iter().all(|line| line.contains(" is missing: ")), "{found:?}");
    }

    #[test]
    fn types_names_and_order_make_a_difference() {
        for ours in ["r *r_start(char *addr, uint32_t mode);", "r *r_start(const char *a, uint32_t mode);"] {
            let found = differences(&prototypes(ours), &prototypes(AGREED));
            assert!(found[0].starts_with("r_start differs: "), "{found:?}");
        }
        let found = differences(&prototypes("void r_more(void);"), &prototypes(AGREED));
        assert_eq!(found[0], "r_more is not agreed: void r_more(void)");
    }

    #[test]
    fn what_is_missing_is_named() {
        let ours = AGREED.replace("const char *r_last_error(void);", "");
        let (ours, agreed) = (prototypes(&ours), prototypes(AGREED));
        assert_eq!(differences(&ours, &agreed), ["r_last_error is missing: const char *r_last_error(void)"]);
    }
}
