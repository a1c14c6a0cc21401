//! The npm package `reactor`: builds its native half, checks its types, packs it. The npm scripts of the package do the
//! work; what they need is fetched here and nowhere else. Knows nothing of what the package does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::tools;
use crate::workspace::Workspace;

/// The compiler, in its own package.
const TSC: &str = "node_modules/typescript/bin/tsc";
/// The type checks, each a program for the compiler.
const TYPE_CHECKS: &str = "test/types";
/// What programs may rely on: all of it stays as it is here.
const AGREED_TYPES: &str = "tests/api/reactor.d.ts";
/// What those consist of where the agreed API is compared as well.
const PROGRAMS: [&str; 4] = ["every-name.ts", "required.cts", "refused.ts", "same.ts"];

/// The release build of the native half, as bindings/node/reactor.node. Without Node.js there is nobody to use it.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let Ok(mut node) = tools::node(workspace) else {
        println!("there is no program `node`: its package is not built");
        return Ok(());
    };
    process::run(node.current_dir(workspace.node_package()).arg("scripts/install.js"))
}

/// Writes the tarball, with all that a user needs to install it, to target/package.
pub(crate) fn pack(workspace: &Workspace) -> Result<()> {
    let folder = workspace.package_dir();
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let mut npm = tools::npm(workspace)?;
    process::run(npm.current_dir(workspace.node_package()).args(["pack", "--pack-destination"]).arg(&folder))?;
    println!("the tarball is in {}", folder.display());
    Ok(())
}

/// Type-checks the programs of the package against its index.d.ts.
pub(crate) fn check_types(workspace: &Workspace) -> Result<()> {
    fetch_compiler(workspace)?;
    process::run(&mut compiler(workspace, &workspace.node_package().join(TYPE_CHECKS))?)
}

/// Type-checks the same programs against the agreed API, and that API against ours.
pub(crate) fn check_agreed_types(workspace: &Workspace) -> Result<()> {
    let agreed = workspace.root.join(AGREED_TYPES);
    fetch_compiler(workspace)?;
    let folder = workspace.types_dir();
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let project = folder.join("agreed.json");
    let settings = agreed_project(&workspace.node_package(), &agreed);
    fs::write(&project, settings).with_context(|| format!("writing {}", project.display()))?;
    process::run(&mut compiler(workspace, &project)?)
}

/// The compiler's settings in which `reactor` is the agreed API, and `reactor-here` ours.
fn agreed_project(package: &Path, agreed: &Path) -> String {
    let types = package.join(TYPE_CHECKS);
    let programs = PROGRAMS.map(|program| quoted(&types.join(program))).join(", ");
    format!(
        r#"{{
  "extends": {},
  "compilerOptions": {{
    "typeRoots": [{}],
    "paths": {{ "reactor": [{}], "reactor-here": [{}] }}
  }},
  "files": [{programs}]
}}
"#,
        quoted(&types.join("tsconfig.json")),
        quoted(&package.join("node_modules/@types")),
        quoted(agreed),
        quoted(&package.join("index.d.ts")),
    )
}

/// A path as JSON.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.to_string_lossy().replace('\\', r"\\").replace('"', "\\\""))
}

fn compiler(workspace: &Workspace, project: &Path) -> Result<Command> {
    let mut node = tools::node(workspace)?;
    node.arg(workspace.node_package().join(TSC)).arg("--project").arg(project);
    Ok(node)
}

/// Installs what package-lock.json names, which is the compiler and the types of Node.js, unless that is what is there.
fn fetch_compiler(workspace: &Workspace) -> Result<()> {
    let package = workspace.node_package();
    if is_installed(&package)? {
        return Ok(());
    }
    let mut npm = tools::npm(workspace)?;
    // The native half is another task's; and a registry out of reach is to be told of soon.
    npm.current_dir(&package).args(["ci", "--ignore-scripts", "--prefer-offline", "--fetch-retries=1"]);
    process::run(&mut npm).context(
        "fetching the TypeScript compiler for the type checks; they need the npm registry, or a cache of npm that has \
         what bindings/node/package-lock.json names",
    )
}

/// npm leaves a lock file of its own, written after all that it installed.
fn is_installed(package: &Path) -> Result<bool> {
    let left = package.join("node_modules/.package-lock.json");
    if !left.exists() || !package.join(TSC).exists() {
        return Ok(false);
    }
    let time = |path: PathBuf| {
        let time = fs::metadata(&path).and_then(|metadata| metadata.modified());
        time.with_context(|| format!("looking at {}", path.display()))
    };
    let wanted = time(package.join("package-lock.json"))?.max(time(package.join("package.json"))?);
    Ok(time(left)? >= wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agreed_api_stands_under_the_name_of_the_package_and_ours_beside_it() {
        let project = agreed_project(Path::new("/p"), Path::new(r#"/a "b"/r.d.ts"#));
        assert!(project.contains(r#""reactor": ["/a \"b\"/r.d.ts"], "reactor-here": ["/p/index.d.ts"]"#), "{project}");
        assert!(project.contains(r#""/p/test/types/every-name.ts", "#), "{project}");
    }
}
