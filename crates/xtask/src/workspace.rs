//! Where things lie: the root, what is built, which source files there are. Runs nothing.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folders of one checkout.
pub(crate) struct Workspace {
    /// The folder of the workspace manifest.
    pub(crate) root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// The checkout that this program was built from; `CARGO_TARGET_DIR`, if relative, counts from its root, since that
    /// is where every cargo that we start runs.
    pub(crate) fn find() -> Workspace {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.ancestors().nth(2).unwrap_or(here).to_path_buf();
        let target = root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into()));
        Workspace { root, target }
    }

    /// Where the release library lies.
    pub(crate) fn lib_dir(&self) -> PathBuf {
        self.target.join("release")
    }

    /// The release library itself.
    pub(crate) fn library(&self) -> PathBuf {
        self.lib_dir().join("libreactor.so")
    }

    /// Where the C examples are built to.
    pub(crate) fn examples_dir(&self) -> PathBuf {
        self.target.join("examples-c")
    }

    /// The sources of the C examples.
    pub(crate) fn example_sources(&self) -> Result<Vec<PathBuf>> {
        files_in(&self.root.join("examples/c"), ".c")
    }

    /// The sources of the Node package.
    pub(crate) fn node_package(&self) -> PathBuf {
        self.root.join("bindings/node")
    }

    /// Where the packed Node package goes.
    pub(crate) fn package_dir(&self) -> PathBuf {
        self.target.join("package")
    }

    /// Where what the sanitizers need is built.
    pub(crate) fn sanitize_dir(&self) -> PathBuf {
        self.target.join("sanitize")
    }

    /// Where the copy of the tree lies that faults are put into, and what is built of it.
    pub(crate) fn mutants_dir(&self) -> PathBuf {
        self.target.join("mutants")
    }

    /// Where the samples and the plot of a soak go.
    pub(crate) fn soak_dir(&self) -> PathBuf {
        self.target.join("soak")
    }

    /// Where settings for the TypeScript compiler are written.
    pub(crate) fn types_dir(&self) -> PathBuf {
        self.target.join("types")
    }

    /// Each JavaScript file of the checkout, and none that was installed or built.
    pub(crate) fn scripts(&self) -> Result<Vec<PathBuf>> {
        let mut scripts = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for ending in [".mjs", ".js", ".cjs"] {
                scripts.extend(files_in(&folder, ending)?);
            }
            let within = entries(&folder)?.into_iter().filter(|path| path.is_dir() && !path.is_symlink());
            folders.extend(within.filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                *path != self.target && name != "target" && name != "node_modules" && !name.starts_with('.')
            }));
        }
        scripts.sort();
        Ok(scripts)
    }
}

/// The files of one folder whose names end so, sorted; none if there is no such folder.
pub(crate) fn files_in(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut files = entries(folder)?;
    files.retain(|path| path.is_file() && path.to_string_lossy().ends_with(ending));
    files.sort();
    Ok(files)
}

/// All that is in one folder; nothing if there is no such folder.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let listed = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    listed.with_context(|| format!("listing {}", folder.display()))
}
