# The one screen: it asks the default browser for a session and opens the address as a Trusted Web Activity.
# A browser without sessions opens it as a Custom Tab or a page. Nothing else is in this package.
#
# The protocol is that of androidx.browser, spoken without it: ICustomTabsService.newSession is transaction 3
# (FIRST_CALL_TRANSACTION 1 + 2, as its AIDL numbers it); the session is the binder that was handed over.

.class public Lorg/tetkik/phone/Start;
.super Landroid/app/Activity;
.implements Landroid/content/ServiceConnection;

.field private bound:Z
.field private shown:Z
.field private browser:Ljava/lang/String;

.method public constructor <init>()V
    .registers 1
    invoke-direct {p0}, Landroid/app/Activity;-><init>()V
    return-void
.end method

.method protected onCreate(Landroid/os/Bundle;)V
    .registers 5
    invoke-super {p0, p1}, Landroid/app/Activity;->onCreate(Landroid/os/Bundle;)V
    # Brought back after the system had ended it: the person has left the page by then.
    if-eqz p1, :first
    invoke-virtual {p0}, Lorg/tetkik/phone/Start;->finish()V
    return-void
    :first
    invoke-direct {p0}, Lorg/tetkik/phone/Start;->find()Ljava/lang/String;
    move-result-object v0
    iput-object v0, p0, Lorg/tetkik/phone/Start;->browser:Ljava/lang/String;
    if-eqz v0, :alone
    new-instance v1, Landroid/content/Intent;
    const-string v2, "android.support.customtabs.action.CustomTabsService"
    invoke-direct {v1, v2}, Landroid/content/Intent;-><init>(Ljava/lang/String;)V
    invoke-virtual {v1, v0}, Landroid/content/Intent;->setPackage(Ljava/lang/String;)Landroid/content/Intent;
    :try
    const/16 v2, 0x21 # BIND_AUTO_CREATE | BIND_WAIVE_PRIORITY
    invoke-virtual {p0, v1, p0, v2}, Lorg/tetkik/phone/Start;->bindService(Landroid/content/Intent;Landroid/content/ServiceConnection;I)Z
    move-result v2
    :tried
    .catch Ljava/lang/SecurityException; {:try .. :tried} :alone
    iput-boolean v2, p0, Lorg/tetkik/phone/Start;->bound:Z
    if-eqz v2, :alone
    return-void
    :alone
    const/4 v0, 0x0
    invoke-direct {p0, v0}, Lorg/tetkik/phone/Start;->show(Landroid/os/IBinder;)V
    return-void
.end method

# The package of the browser that opens links; null where there is none.
.method private find()Ljava/lang/String;
    .registers 5
    invoke-direct {p0}, Lorg/tetkik/phone/Start;->page()Landroid/content/Intent;
    move-result-object v0
    const-string v1, "android.intent.category.BROWSABLE"
    invoke-virtual {v0, v1}, Landroid/content/Intent;->addCategory(Ljava/lang/String;)Landroid/content/Intent;
    invoke-virtual {p0}, Lorg/tetkik/phone/Start;->getPackageManager()Landroid/content/pm/PackageManager;
    move-result-object v1
    const/high16 v2, 0x10000 # MATCH_DEFAULT_ONLY
    invoke-virtual {v1, v0, v2}, Landroid/content/pm/PackageManager;->resolveActivity(Landroid/content/Intent;I)Landroid/content/pm/ResolveInfo;
    move-result-object v0
    if-eqz v0, :none
    iget-object v0, v0, Landroid/content/pm/ResolveInfo;->activityInfo:Landroid/content/pm/ActivityInfo;
    iget-object v0, v0, Landroid/content/pm/ActivityInfo;->packageName:Ljava/lang/String;
    return-object v0
    :none
    const/4 v0, 0x0
    return-object v0
.end method

# What opens the hospital's address, which stands in the manifest.
.method private page()Landroid/content/Intent;
    .registers 5
    :try
    invoke-virtual {p0}, Lorg/tetkik/phone/Start;->getPackageManager()Landroid/content/pm/PackageManager;
    move-result-object v0
    invoke-virtual {p0}, Lorg/tetkik/phone/Start;->getComponentName()Landroid/content/ComponentName;
    move-result-object v1
    const/16 v2, 0x80 # GET_META_DATA
    invoke-virtual {v0, v1, v2}, Landroid/content/pm/PackageManager;->getActivityInfo(Landroid/content/ComponentName;I)Landroid/content/pm/ActivityInfo;
    move-result-object v0
    :tried
    .catch Landroid/content/pm/PackageManager$NameNotFoundException; {:try .. :tried} :never
    iget-object v0, v0, Landroid/content/pm/ActivityInfo;->metaData:Landroid/os/Bundle;
    const-string v1, "address"
    invoke-virtual {v0, v1}, Landroid/os/Bundle;->getString(Ljava/lang/String;)Ljava/lang/String;
    move-result-object v0
    invoke-static {v0}, Landroid/net/Uri;->parse(Ljava/lang/String;)Landroid/net/Uri;
    move-result-object v0
    new-instance v1, Landroid/content/Intent;
    const-string v2, "android.intent.action.VIEW"
    invoke-direct {v1, v2, v0}, Landroid/content/Intent;-><init>(Ljava/lang/String;Landroid/net/Uri;)V
    return-object v1
    :never
    move-exception v0
    new-instance v1, Ljava/lang/IllegalStateException;
    invoke-direct {v1, v0}, Ljava/lang/IllegalStateException;-><init>(Ljava/lang/Throwable;)V
    throw v1
.end method

.method public onServiceConnected(Landroid/content/ComponentName;Landroid/os/IBinder;)V
    .registers 8
    const/4 v3, 0x0
    new-instance v0, Landroid/os/Binder;
    invoke-direct {v0}, Landroid/os/Binder;-><init>()V
    const-string v1, "android.support.customtabs.ICustomTabsCallback"
    invoke-virtual {v0, v3, v1}, Landroid/os/Binder;->attachInterface(Landroid/os/IInterface;Ljava/lang/String;)V
    invoke-static {}, Landroid/os/Parcel;->obtain()Landroid/os/Parcel;
    move-result-object v1
    invoke-static {}, Landroid/os/Parcel;->obtain()Landroid/os/Parcel;
    move-result-object v2
    :try
    const-string v4, "android.support.customtabs.ICustomTabsService"
    invoke-virtual {v1, v4}, Landroid/os/Parcel;->writeInterfaceToken(Ljava/lang/String;)V
    invoke-virtual {v1, v0}, Landroid/os/Parcel;->writeStrongBinder(Landroid/os/IBinder;)V
    const/4 v4, 0x3
    const/4 v3, 0x0
    invoke-interface {p2, v4, v1, v2, v3}, Landroid/os/IBinder;->transact(ILandroid/os/Parcel;Landroid/os/Parcel;I)Z
    invoke-virtual {v2}, Landroid/os/Parcel;->readException()V
    invoke-virtual {v2}, Landroid/os/Parcel;->readInt()I
    move-result v3
    :tried
    .catch Ljava/lang/Exception; {:try .. :tried} :refused
    if-eqz v3, :none
    goto :opened
    :refused
    move-exception v3
    :none
    const/4 v0, 0x0
    :opened
    invoke-virtual {v1}, Landroid/os/Parcel;->recycle()V
    invoke-virtual {v2}, Landroid/os/Parcel;->recycle()V
    invoke-direct {p0, v0}, Lorg/tetkik/phone/Start;->show(Landroid/os/IBinder;)V
    return-void
.end method

.method public onServiceDisconnected(Landroid/content/ComponentName;)V
    .registers 2
    return-void
.end method

# Open the address, with a session as a Trusted Web Activity; without one the browser chooses.
.method private show(Landroid/os/IBinder;)V
    .registers 6
    iget-boolean v0, p0, Lorg/tetkik/phone/Start;->shown:Z
    if-eqz v0, :first
    return-void
    :first
    const/4 v3, 0x1
    iput-boolean v3, p0, Lorg/tetkik/phone/Start;->shown:Z
    invoke-direct {p0}, Lorg/tetkik/phone/Start;->page()Landroid/content/Intent;
    move-result-object v0
    new-instance v1, Landroid/os/Bundle;
    invoke-direct {v1}, Landroid/os/Bundle;-><init>()V
    const-string v2, "android.support.customtabs.extra.SESSION"
    invoke-virtual {v1, v2, p1}, Landroid/os/Bundle;->putBinder(Ljava/lang/String;Landroid/os/IBinder;)V
    const-string v2, "android.support.customtabs.extra.TOOLBAR_COLOR"
    const p1, -0xe98f86 # the teal of the mark, #ff16707a
    invoke-virtual {v1, v2, p1}, Landroid/os/Bundle;->putInt(Ljava/lang/String;I)V
    const-string v2, "android.support.customtabs.extra.SESSION"
    invoke-virtual {v1, v2}, Landroid/os/Bundle;->getBinder(Ljava/lang/String;)Landroid/os/IBinder;
    move-result-object v2
    if-eqz v2, :plain
    const-string v2, "android.support.customtabs.extra.LAUNCH_AS_TRUSTED_WEB_ACTIVITY"
    invoke-virtual {v1, v2, v3}, Landroid/os/Bundle;->putBoolean(Ljava/lang/String;Z)V
    iget-object v2, p0, Lorg/tetkik/phone/Start;->browser:Ljava/lang/String;
    invoke-virtual {v0, v2}, Landroid/content/Intent;->setPackage(Ljava/lang/String;)Landroid/content/Intent;
    const/4 v3, 0x0
    :plain
    invoke-virtual {v0, v1}, Landroid/content/Intent;->putExtras(Landroid/os/Bundle;)Landroid/content/Intent;
    :try
    invoke-virtual {p0, v0}, Lorg/tetkik/phone/Start;->startActivity(Landroid/content/Intent;)V
    :tried
    .catch Landroid/content/ActivityNotFoundException; {:try .. :tried} :missing
    # The session lasts as long as this screen lies under the page; a page without one needs no screen.
    if-eqz v3, :stay
    invoke-virtual {p0}, Lorg/tetkik/phone/Start;->finish()V
    :stay
    return-void
    :missing
    move-exception v0
    invoke-virtual {p0}, Lorg/tetkik/phone/Start;->getResources()Landroid/content/res/Resources;
    move-result-object v0
    const-string v1, "no_browser"
    const-string v2, "string"
    invoke-virtual {p0}, Lorg/tetkik/phone/Start;->getPackageName()Ljava/lang/String;
    move-result-object v3
    invoke-virtual {v0, v1, v2, v3}, Landroid/content/res/Resources;->getIdentifier(Ljava/lang/String;Ljava/lang/String;Ljava/lang/String;)I
    move-result v0
    const/4 v1, 0x1
    invoke-static {p0, v0, v1}, Landroid/widget/Toast;->makeText(Landroid/content/Context;II)Landroid/widget/Toast;
    move-result-object v0
    invoke-virtual {v0}, Landroid/widget/Toast;->show()V
    invoke-virtual {p0}, Lorg/tetkik/phone/Start;->finish()V
    return-void
.end method

# The page was closed, and this screen would be what is left.
.method protected onRestart()V
    .registers 2
    invoke-super {p0}, Landroid/app/Activity;->onRestart()V
    invoke-virtual {p0}, Lorg/tetkik/phone/Start;->finish()V
    return-void
.end method

.method protected onDestroy()V
    .registers 2
    iget-boolean v0, p0, Lorg/tetkik/phone/Start;->bound:Z
    if-eqz v0, :free
    invoke-virtual {p0, p0}, Lorg/tetkik/phone/Start;->unbindService(Landroid/content/ServiceConnection;)V
    :free
    invoke-super {p0}, Landroid/app/Activity;->onDestroy()V
    return-void
.end method
