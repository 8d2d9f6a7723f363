package main

import "github.com/spf13/cobra"

func newDemo(a *app) *cobra.Command {
	return &cobra.Command{Use: "demo", GroupID: groupOther, Short: "Play the whole story in a directory of its own", RunE: func(cmd *cobra.Command, _ []string) error { return nil }}
}
