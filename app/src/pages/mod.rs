//! One page per capability.

pub mod board;
pub mod explore;
pub mod feed;
pub mod front;
pub mod login;
pub mod me;
pub mod not_found;
pub mod post;

pub use board::BoardPage;
pub use explore::ExplorePage;
pub use feed::FeedPage;
pub use front::FrontPage;
pub use login::LoginPage;
pub use me::MePage;
pub use not_found::NotFoundPage;
pub use post::PostPage;
