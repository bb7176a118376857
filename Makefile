# The commands of the project; each one is a script in scripts/.
# PG_CONFIG says which PostgreSQL (15 to 18) to build for, install into and test with.

PG_CONFIG ?= /usr/lib/postgresql/15/bin/pg_config
export PG_CONFIG PG_CONFIGS BENCH PROOF

.DEFAULT_GOAL := help
.PHONY: help demo demo-stop demo-psql test test-matrix test-upgrade torture lint install installcheck bench pgspot package clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*##/ {printf "make %-14s%s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo 'All of them take PG_CONFIG=/path/to/pg_config; the default is Debian'\''s PostgreSQL 15.'

demo: ## build, install, and show the example packages at work on a small ERP
	@scripts/demo start

demo-psql: ## look around in the demo with psql
	@scripts/demo psql

demo-stop: ## stop the demo and remove it
	@scripts/demo stop

test: ## run all tests
	@scripts/test

test-matrix: ## check and test with PostgreSQL 17 and 18, built from Debian's sources, or with those of PG_CONFIGS
	@scripts/test-matrix

test-upgrade: ## test pg_upgrade from 15 to 17 and 18, with cases in the middle of their work
	@scripts/test-upgrade

torture: ## prove the promises of docs/reliability.md at length (hours); PROOF=soak for one of them
	@scripts/torture

lint: ## check format, code and scripts
	@scripts/lint

install: ## build and install into the PostgreSQL of PG_CONFIG
	@scripts/install

installcheck: ## run the server tests against the extension that is installed
	@scripts/installcheck

bench: ## measure; BENCH=short for a quick look
	@scripts/bench

pgspot: ## look for unsafe SQL in the install and upgrade scripts
	@scripts/pgspot

package: ## make a folder of files to copy into a PostgreSQL of the same version
	@scripts/package

clean: demo-stop ## remove the demo and all that was built
	@scripts/clean
