package main

import "github.com/spf13/cobra"

// Commands that cannot be run are help topics.

func newExitCodes() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-codes",
		Short: "What the exit codes mean",
		Long: `Exit codes of keyctl

    0  it worked; for verify: the key is good
    1  the command line cannot be meant: a flag, a value, a missing --yes
    2  the key store cannot be used: missing, locked, damaged, a wrong pepper,
       a key that was changed outside mcpkeys; or the server is not reached
    3  verify: the key is not good; the reason is on standard output. revoke -:
       a rotation ended that secret before; the key was not revoked
    4  denied: the admin key is not accepted, or may not do that
    5  of several keys some failed, and each is listed; for scan: it found keys
    6  there is no such key
    7  conflict: the name is taken, the file exists, the reference fits several,
       the key is in no state for that, or at another version
    8  the change may be lost: the key store's files were replaced while it was
       made; look whether it is there, and repeat it if it is not
  130  interrupted

With -o json or jsonl a failure leaves standard output empty and writes one
object to standard error: {"error": {"code": "...", "message": "..."}}.`,
	}
}

func newEnvironment() *cobra.Command {
	return &cobra.Command{
		Use:   "environment",
		Short: "Which environment variables count",
		Long: `Environment variables of keyctl

  KEYCTL_DB              the key store's file, when --db is not given
  KEYCTL_PEPPER_FILE     its pepper's file, when --pepper is not given
  KEYCTL_SERVER          the URL of a keyctl serve, when --server is not given;
                         not together with a file
  KEYCTL_ADMIN_KEY_FILE  a file with the admin key for that server
  KEYCTL_ADMIN_KEY       that key itself, where there is no file for it
  MCPKEYS_ALLOW_GROUP    1 lets a group of this user open the files of the key
                         store, where the platform sets group bits (fsGroup)
  COLUMNS                how wide a table may be; without it a terminal's
                         width counts, and tables in files and pipes are
                         whole
  NO_COLOR               set to anything: no colours

An empty variable counts as unset. The demo reads none of the KEYCTL_ ones.`,
	}
}
