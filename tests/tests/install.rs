//! What `cargo xtask install` puts into a folder is all that a C program needs, built as the README says.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command};

use reactor_tests::{DEADLINE, root, wait_until};

/// A folder of the test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("reactor-install-{name}-{}", process::id()));
        fs::create_dir_all(&folder).expect("temporary files are ours to make");
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program that runs, killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("running {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("it writes ASCII")
}

fn install(args: &[&str]) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run(Command::new(cargo).current_dir(root()).args(["xtask", "install"]).args(args));
}

#[test]
fn the_readmes_program_is_built_with_what_was_installed_and_serves() {
    let folder = Folder::new("prefix");
    let prefix = folder.0.join("usr");
    install(&["--prefix", prefix.to_str().expect("temporary folders have plain names")]);
    // Of this address nobody else has the port.
    let [.., high, middle, low] = process::id().to_be_bytes();
    let address = SocketAddr::from((Ipv4Addr::new(127, 1 + high % 254, middle, 1 + low % 254), 3001));
    let source = folder.0.join("app.c");
    let program = readmes_program();
    assert!(program.contains("\"127.0.0.1:3001\""), "{program}");
    fs::write(&source, program.replace("127.0.0.1:3001", &address.to_string())).expect("the folder is ours");

    let lib = prefix.join("lib");
    let shared = [pkg_config(&lib, &["--cflags", "--libs"]), vec![format!("-Wl,-rpath,{}", lib.display())]].concat();
    let alone = [
        pkg_config(&lib, &["--cflags"]),
        vec![lib.join("libreactor.a").display().to_string()],
        ["-lgcc_s", "-lrt", "-lpthread", "-lm", "-ldl"].map(String::from).to_vec(),
    ]
    .concat();
    for (name, flags) in [("shared", shared), ("static", alone)] {
        let program = folder.0.join(name);
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        run(Command::new(compiler)
            .args(["-Wall", "-Wextra", "-Werror"])
            .arg(&source)
            .args(flags)
            .arg("-o")
            .arg(&program));
        serves(&program, address);
    }
}

/// The first program in the README.
fn readmes_program() -> String {
    let readme = fs::read_to_string(root().join("README.md")).expect("the checkout has one");
    let (_, from) = readme.split_once("```c\n").expect("the README shows a program in C");
    from.split_once("```").expect("it ends").0.to_owned()
}

/// What pkg-config says of the library; where there is none, what it would say.
fn pkg_config(lib: &Path, asked: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_PATH", lib.join("pkgconfig")).args(asked).arg("reactor");
    if Command::new("pkg-config").arg("--version").output().is_ok() {
        return run(&mut command).split_whitespace().map(String::from).collect();
    }
    println!("there is no pkg-config: reactor.pc is not read");
    let prefix = lib.parent().expect("it is in the prefix").display();
    let flags = [format!("-I{prefix}/include"), format!("-L{prefix}/lib"), "-lreactor".into()];
    flags[..if asked.contains(&"--libs") { 3 } else { 1 }].to_vec()
}

fn serves(program: &Path, address: SocketAddr) {
    // cargo puts the folder of a debug library there.
    let child = Command::new(program).env_remove("LD_LIBRARY_PATH").spawn().expect("it was built just above");
    let mut running = Running(child);
    let mut stream = None;
    wait_until("the program to listen", || {
        let ended = running.0.try_wait().expect("the child is ours");
        assert!(ended.is_none(), "{} ended: {ended:?}", program.display());
        stream = TcpStream::connect(address).ok();
        stream.is_some()
    });
    let mut stream = stream.expect("the wait above ended because it is there");
    stream.set_read_timeout(Some(DEADLINE)).expect("the stream is open");
    stream.write_all(b"hello").expect("the server reads");
    stream.shutdown(Shutdown::Write).expect("the stream is open");
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).expect("the server answers");
    assert_eq!(reply, b"hello");
}

#[test]
fn below_a_destdir_all_is_as_it_will_be_in_the_prefix() {
    let folder = Folder::new("destdir");
    let destdir = folder.0.to_str().expect("temporary folders have plain names");
    for _ in 0..2 {
        install(&["--prefix", "/opt/reactor", "--destdir", destdir]);
    }
    let top = folder.0.join("opt/reactor");
    let mut found: Vec<_> =
        ["include", "lib", "lib/pkgconfig"].iter().flat_map(|name| files(&top.join(name))).collect();
    found.sort();
    let version = env!("CARGO_PKG_VERSION");
    let whole_name = format!("libreactor.so.{version}");
    let due = ["libreactor.a", "libreactor.so", "libreactor.so.0", &whole_name, "reactor.h", "reactor.pc"];
    assert_eq!(found, due);
    let links =
        ["libreactor.so", "libreactor.so.0"].map(|name| fs::read_link(top.join("lib").join(name)).expect("a link"));
    assert_eq!(links, [Path::new("libreactor.so.0"), Path::new(&whole_name)]);
    let mode = fs::metadata(top.join("lib/libreactor.so")).expect("the links lead to it").permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    let text = fs::read_to_string(top.join("lib/pkgconfig/reactor.pc")).expect("it is there");
    assert!(text.starts_with("prefix=/opt/reactor\n") && text.contains(&format!("\nVersion: {version}\n")), "{text}");
}

/// The names of what is in it, folders aside.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("it was made").map(|entry| entry.expect("it is still there"));
    let files = entries.filter(|entry| !entry.path().is_dir());
    files.map(|entry| entry.file_name().into_string().expect("the names are ASCII")).collect()
}
