#!/bin/sh
# Starts the MLflow server: runs in PostgreSQL, artifacts in a folder or an S3-compatible store, everybody signs in.
# What it needs comes from the environment (mlflow.env.example); secrets are files, never arguments.
set -eu

fail() {
    echo "mlflow start: $1" >&2
    exit 78
}

secret() {  # secret NAME: the first line of the file NAME among the credentials
    file="${CREDENTIALS_DIRECTORY:?}/$1"
    [ -r "$file" ] || fail "no readable file $file; put the $1 into it"
    value=$(head -n 1 "$file")
    [ -n "$value" ] || fail "$file is empty; put the $1 into it"
    printf %s "$value"
}

[ -n "${CREDENTIALS_DIRECTORY:-}" ] || fail "CREDENTIALS_DIRECTORY is not set; name the folder of admin-password and session-key"
[ -n "${MASKWATCH_MLFLOW_DATABASE:-}" ] || fail "MASKWATCH_MLFLOW_DATABASE is not set; give postgresql+psycopg://..."
[ -n "${MASKWATCH_MLFLOW_USERS:-}" ] || fail "MASKWATCH_MLFLOW_USERS is not set; give a second database, for users"
[ -n "${MASKWATCH_MLFLOW_ARTIFACTS:-}" ] || fail "MASKWATCH_MLFLOW_ARTIFACTS is not set; give a folder or s3://BUCKET/PATH"
[ "$MASKWATCH_MLFLOW_DATABASE" != "$MASKWATCH_MLFLOW_USERS" ] || fail "runs and users need a database each"
case "$MASKWATCH_MLFLOW_ARTIFACTS" in
    *://*) ;;
    *) mkdir -p "$MASKWATCH_MLFLOW_ARTIFACTS" || fail "cannot make the folder $MASKWATCH_MLFLOW_ARTIFACTS" ;;
esac

umask 077
MLFLOW_AUTH_ADMIN_PASSWORD=$(secret admin-password)
MLFLOW_FLASK_SERVER_SECRET_KEY=$(secret session-key)
[ "${#MLFLOW_AUTH_ADMIN_PASSWORD}" -ge 12 ] || fail "admin-password is shorter than 12 characters"
runtime="${RUNTIME_DIRECTORY:-${TMPDIR:-/tmp}}"
MLFLOW_AUTH_CONFIG_PATH="$runtime/mlflow-auth-$$.ini"
# The parser of this file reads % as the start of a name.
users=$(printf %s "$MASKWATCH_MLFLOW_USERS" | sed 's/%/%%/g')
cat > "$MLFLOW_AUTH_CONFIG_PATH" <<END
[mlflow]
default_permission = ${MASKWATCH_MLFLOW_PERMISSION:-READ}
database_uri = $users
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
END
# By the environment: a URL with a password as an argument could be read by everybody on the machine.
MLFLOW_BACKEND_STORE_URI=$MASKWATCH_MLFLOW_DATABASE
export MLFLOW_AUTH_ADMIN_PASSWORD MLFLOW_FLASK_SERVER_SECRET_KEY MLFLOW_AUTH_CONFIG_PATH MLFLOW_BACKEND_STORE_URI

exec "${MLFLOW:-mlflow}" server --app-name basic-auth \
    --host "${MASKWATCH_MLFLOW_HOST:-127.0.0.1}" --port "${MASKWATCH_MLFLOW_PORT:-5000}" \
    --workers "${MASKWATCH_MLFLOW_WORKERS:-2}" \
    --serve-artifacts --artifacts-destination "$MASKWATCH_MLFLOW_ARTIFACTS" \
    --allowed-hosts "${MASKWATCH_MLFLOW_ALLOWED_HOSTS:-localhost,localhost:*,127.0.0.1,127.0.0.1:*}"
