//! `cargo xtask header`: writes include/reactor.h and include/reactor.symbols from crates/reactor-capi, and finds drift
//! between them, the sources and the library. Knows nothing of what the functions do.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

const HEADER: &str = "include/reactor.h";
const SYMBOLS: &str = "include/reactor.symbols";
const CAPI: &str = "crates/reactor-capi";
const MEND: &str = "run: cargo xtask header";

/// The functions of the header in its order: a section, and the sources whose exports it lists.
const SECTIONS: &[(&str, &[&str])] = &[
    ("Status", &["status", "version"]),
    ("Start and stop", &["reactor"]),
    ("Inside the process callback", &["reply"]),
    ("Deferred replies", &["deferred"]),
    ("From any thread", &["connections", "stats"]),
    ("Options", &["options", "options/framing", "options/limits", "options/socket"]),
    ("Logging", &["log"]),
];

/// Sources that have types and no exports.
const TYPES: &[&str] = &["callbacks", "mode", "order", "close_reason", "report"];

/// What the comment of a function says after its summary, in this order.
const LABELS: &[&str] = &["Parameters:", "Returns:", "Ownership:", "Threads:", "Since:"];

/// Columns of a section's heading.
const HEADING_COLUMNS: usize = 100;

/// The text of the header, made from the sources.
pub(crate) fn generate(root: &Path) -> Result<String> {
    let capi = root.join(CAPI);
    let body = declarations(&capi, &declarations_as_generated(&capi)?)?;
    let preface = comment(&read(&capi.join("preface.md"))?);
    let version = version_macros(&read(&root.join("Cargo.toml"))?)?;
    Ok(format!(
        "{preface}
/* Generated from {CAPI} by cargo xtask header: change it there. */
#ifndef REACTOR_H
#define REACTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

{version}
#ifdef __cplusplus
extern \"C\" {{
#endif

{body}
#ifdef __cplusplus
}}
#endif

#endif /* REACTOR_H */
"
    ))
}

/// The functions that a header declares.
pub(crate) fn symbols_in_header(text: &str) -> BTreeSet<String> {
    let code = without_comments(text);
    let functions = code.match_indices('(').filter_map(|(at, _)| {
        let name = code[..at].rsplit(|c: char| !c.is_alphanumeric() && c != '_').next()?;
        name.starts_with("reactor_").then(|| name.to_owned())
    });
    functions.collect()
}

/// What a shared library exports.
pub(crate) fn exported_symbols(lib: &Path) -> Result<BTreeSet<String>> {
    let output = Command::new("nm").args(["-D", "--defined-only"]).arg(lib).output().context("running nm")?;
    ensure!(output.status.success(), "nm -D {}: {}", lib.display(), String::from_utf8_lossy(&output.stderr).trim());
    let listing = String::from_utf8(output.stdout).context("reading what nm wrote")?;
    // ADDRESS TYPE NAME, or NAME@VERSION.
    let names = listing.lines().filter_map(|line| line.split_whitespace().last()?.split('@').next());
    Ok(names.map(str::to_owned).collect())
}

/// Writes the header and the list of symbols.
pub(crate) fn write(root: &Path) -> Result<()> {
    let header = generate(root)?;
    for (path, text) in [(HEADER, &header), (SYMBOLS, &symbols_file(&header))] {
        let path = root.join(path);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// Fails where sources, header, list of symbols and library disagree, and says what mends it.
pub(crate) fn check(root: &Path, lib: &Path) -> Result<()> {
    let header = generate(root)?;
    ensure!(read(&root.join(HEADER))? == header, "{HEADER} is not what the sources make it; {MEND}");
    ensure!(read(&root.join(SYMBOLS))? == symbols_file(&header), "{SYMBOLS} does not list the header's; {MEND}");
    let (declared, exported) = (symbols_in_header(&header), exported_symbols(lib)?);
    let hidden: Vec<_> = declared.difference(&exported).collect();
    let undeclared: Vec<_> = exported.difference(&declared).collect();
    ensure!(
        hidden.is_empty() && undeclared.is_empty(),
        "{}: declared and not exported: {hidden:?}; exported and not declared: {undeclared:?}; name the source of each \
         export in SECTIONS of crates/xtask/src/header.rs, then {MEND}",
        lib.display()
    );
    Ok(())
}

fn symbols_file(header: &str) -> String {
    symbols_in_header(header).iter().map(|name| format!("{name}\n")).collect()
}

/// What cbindgen makes of the sources, in the order of [`SECTIONS`].
fn declarations_as_generated(capi: &Path) -> Result<String> {
    let config = cbindgen::Config::from_file(capi.join("cbindgen.toml")).map_err(anyhow::Error::msg)?;
    let exports = SECTIONS.iter().flat_map(|(_, sources)| *sources);
    let builder = exports.chain(TYPES).fold(cbindgen::Builder::new().with_config(config), |builder, source| {
        builder.with_src(source_path(capi, source))
    });
    let mut text = Vec::new();
    builder.generate().context("cbindgen")?.write(&mut text);
    String::from_utf8(text).context("reading what cbindgen wrote")
}

fn source_path(capi: &Path, source: &str) -> PathBuf {
    capi.join("src").join(source).with_extension("rs")
}

/// The declarations with their headings, each checked for its comment.
fn declarations(capi: &Path, generated: &str) -> Result<String> {
    let mut headings = Vec::new();
    for (section, sources) in SECTIONS {
        let source = sources.first().context("a section has sources")?;
        headings.push((first_export(&read(&source_path(capi, source))?)?, *section));
    }
    let mut body = heading("Types");
    for block in generated.trim().split("\n\n") {
        let declaration = without_comments(block);
        if let Some(name) = symbols_in_header(block).first() {
            well_documented(name, block, declaration.trim_start().starts_with("void "))?;
            if let Some((_, section)) = headings.iter().find(|(first, _)| first == name) {
                body += &heading(section);
            }
        }
        body += &with_tag(&with_short_comments(block));
        body += "\n\n";
    }
    Ok(body)
}

fn first_export(source: &str) -> Result<String> {
    let after = source.split("pub extern \"C\" fn ").nth(1).context("a section's first source has an export")?;
    Ok(after.split('(').next().unwrap_or_default().to_owned())
}

fn heading(section: &str) -> String {
    let dashes = "-".repeat(HEADING_COLUMNS.saturating_sub("/* ----  */".len() + section.len()));
    format!("/* ---- {section} {dashes} */\n\n")
}

fn well_documented(name: &str, block: &str, returns_nothing: bool) -> Result<()> {
    let mut from = 0;
    for label in LABELS {
        if returns_nothing && *label == "Returns:" {
            continue;
        }
        let Some(at) = block[from..].find(&format!("\n * {label}")) else {
            bail!("the comment of {name} does not say {label:?} in its place; the order is {LABELS:?}");
        };
        from += at;
    }
    Ok(())
}

/// A comment of one line in one line.
fn with_short_comments(block: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in block.lines() {
        let text = lines.last().and_then(|text| text.trim_start().strip_prefix("* ").map(str::to_owned));
        let opened = lines.len().checked_sub(2).map(|at| lines[at].clone()).filter(|open| open.trim() == "/**");
        if let (" */", Some(text), Some(open)) = (&*format!(" {}", line.trim_start()), text, opened) {
            lines.truncate(lines.len() - 2);
            lines.push(format!("{open} {text} */"));
        } else {
            lines.push(line.to_owned());
        }
    }
    lines.join("\n")
}

/// `typedef enum { .. } name;` has its name as its tag too, so that it can be declared ahead.
fn with_tag(block: &str) -> String {
    let Some(name) = block.rsplit("} ").next().and_then(|end| end.strip_suffix(';')) else {
        return block.to_owned();
    };
    ["enum", "struct"].iter().fold(block.to_owned(), |block, kind| {
        block.replacen(&format!("typedef {kind} {{"), &format!("typedef {kind} {name} {{"), 1)
    })
}

fn without_comments(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("/*") {
        code += before;
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    code + rest
}

fn comment(text: &str) -> String {
    let lines = text.trim_end().lines().map(|line| format!(" * {line}").trim_end().to_owned() + "\n");
    format!("/*\n{} */", lines.collect::<String>())
}

/// The workspace has the one version.
fn version_macros(manifest: &str) -> Result<String> {
    let package = manifest.split("[workspace.package]").nth(1).context("finding [workspace.package]")?;
    let version = package.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    let version = version.context("finding the version in [workspace.package]")?;
    let parts: Vec<u32> = version.split('.').map(str::parse).collect::<Result<_, _>>().context(version.to_owned())?;
    let [major, minor, patch] = parts[..] else { bail!("version {version} is not MAJOR.MINOR.PATCH") };
    Ok(format!(
        "#define REACTOR_VERSION_MAJOR {major}
#define REACTOR_VERSION_MINOR {minor}
#define REACTOR_VERSION_PATCH {patch}
#define REACTOR_VERSION_NUMBER {} /* major * 10000 + minor * 100 + patch */
",
        major * 10_000 + minor * 100 + patch
    ))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_and_callbacks_and_comments_are_not() {
        let header = "/* reactor_no(1) */ typedef int32_t (*reactor_process_fn)(void *);
            reactor *reactor_start(const char *addr,
                                   void (*user_data_free)(void *));
            reactor_status reactor_status_of(void);";
        let names: Vec<_> = symbols_in_header(header).into_iter().collect();
        assert_eq!(names, ["reactor_start", "reactor_status_of"]);
    }

    #[test]
    fn comments_of_one_line_are_shortened_and_tags_added() {
        let block = "/**\n * Why.\n *\n * More.\n */\ntypedef enum {\n  /**\n   * One.\n   */\n  A = 0,\n} r_mode;";
        let expected = "/**\n * Why.\n *\n * More.\n */\ntypedef enum r_mode {\n  /** One. */\n  A = 0,\n} r_mode;";
        assert_eq!(with_tag(&with_short_comments(block)), expected);
        assert_eq!(with_tag("typedef struct r r;"), "typedef struct r r;");
    }

    #[test]
    fn a_comment_out_of_order_is_refused() {
        let block =
            "/**\n * Does.\n *\n * Parameters: none.\n *\n * Ownership: no.\n *\n * Returns: 0\n */\nint f(void);";
        assert!(well_documented("f", block, false).is_err());
    }

    #[test]
    fn the_version_comes_from_the_workspace() {
        let macros = version_macros("[workspace.package]\nversion = \"1.2.3\"\n").expect("a version");
        assert!(macros.contains("REACTOR_VERSION_NUMBER 10203 "), "{macros}");
        assert!(version_macros("[workspace.package]\nversion = \"1.2\"\n").is_err());
    }
}
