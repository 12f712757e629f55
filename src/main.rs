//! Parse, dispatch, exit status.

fn main() -> std::process::ExitCode {
    tikv_chaos::cli::main()
}
