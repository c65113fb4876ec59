//! The binary: command line and wiring, no choices of its own.

mod cli;
mod cluster;
mod config;
mod data_dir;
mod kubeconfig;
mod local;
mod machine;
mod notify;
mod output;
mod preflight;
mod roles;

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: runtime::early::Allocator<tikv_jemallocator::Jemalloc> = runtime::early::Allocator(tikv_jemallocator::Jemalloc);

fn main() -> ExitCode {
    // First of all: supervisors of pods and the keeper are this binary too, and stay as small as a process can be.
    runtime::early::branch();
    match cli::Command::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::report(&error);
            ExitCode::FAILURE
        }
    }
}
