//! `ActivityService`. Not done yet: the activity log.

use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::admin::{Admin, Reply};
use super::proto::activity_service_server::ActivityService;
use super::proto::*;

#[tonic::async_trait]
impl ActivityService for Admin {
    async fn review_access(
        &self,
        request: Request<ReviewAccessRequest>,
    ) -> Result<Response<BoxStream<ReviewAccessResponse>>, Status> {
        self.access(request).await
    }

    async fn list_unused_roles(&self, request: Request<ListUnusedRolesRequest>) -> Reply<ListUnusedRolesResponse> {
        self.unused_roles(request).await
    }

    async fn list_unused_permissions(
        &self,
        request: Request<ListUnusedPermissionsRequest>,
    ) -> Reply<ListUnusedPermissionsResponse> {
        self.unused_permissions(request).await
    }
}
