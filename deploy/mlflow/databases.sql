-- sudo -u postgres psql -f databases.sql
-- Runs and users apart, so that a dump of the runs holds no password hashes; `studies` is what `search --storage` shares.
CREATE ROLE "maskwatch-mlflow" LOGIN;
CREATE DATABASE mlflow OWNER "maskwatch-mlflow";
CREATE DATABASE mlflow_users OWNER "maskwatch-mlflow";
CREATE DATABASE studies OWNER "maskwatch-mlflow";
