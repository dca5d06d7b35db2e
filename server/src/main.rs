//! The axum server of the demo: pages, `/directus` and `/directus-ws`.

mod arguments;
mod log;
mod pages;
mod shutdown;

use std::{net::SocketAddr, process::ExitCode};

use arguments::{Arguments, Command};
use clap::Parser;
use leptos_directus::server::DirectusServer;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = match log::filter(std::env::var("RUST_LOG").ok().as_deref()) {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let directus = match DirectusServer::new(arguments.directus) {
        Ok(directus) => directus,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    match arguments.command {
        Some(Command::Doctor) => doctor(&directus).await,
        None => match serve(directus).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        },
    }
}

/// Listens until it is told to end; then requests finish, sockets get 1001, and nobody is waited for without a bound.
async fn serve(directus: DirectusServer) -> Result<(), String> {
    if let Ok(text) = std::env::var("LEPTOS_SITE_ADDR")
        && text.parse::<SocketAddr>().is_err()
    {
        return Err(format!(
            "LEPTOS_SITE_ADDR is {text:?}: an address and a port were expected, such as 127.0.0.1:3000"
        ));
    }
    let configuration = leptos::config::get_configuration(None)
        .map_err(|error| format!("the LEPTOS_* environment can't be used: {error}"))?;
    let options = configuration.leptos_options;
    let address = options.site_addr;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        format!(
            "can't listen on {address}: {error}; end what listens there, or set LEPTOS_SITE_ADDR to another address"
        )
    })?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let app = pages::routes(options, &directus).into_make_service_with_connect_info::<SocketAddr>();
    // For whoever started us: with port 0, this is how the port is known.
    println!("listening on http://{address}");
    tracing::info!("listening on http://{address}");
    let serving = axum::serve(listener, app).with_graceful_shutdown(shutdown::asked_for());
    shutdown::bounded(serving, directus).await
}

async fn doctor(directus: &DirectusServer) -> ExitCode {
    let findings = directus.diagnose().await;
    for finding in &findings {
        let word = match (finding.is_good, &finding.mend) {
            (true, None) => "ok  ",
            (true, Some(_)) => "warn",
            (false, _) => "FAIL",
        };
        println!("{word} {}", finding.message);
        if let Some(mend) = &finding.mend {
            println!("     {mend}");
        }
    }
    if findings.iter().all(|finding| finding.is_good) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
